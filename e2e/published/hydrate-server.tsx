import { createClient } from '@groupcast/client';
import { renderToString } from 'react-dom/server';
import { Page } from './hydrated-page.js';

/** At module level, as an application does it. */
const client = createClient({ apiUrl: 'http://127.0.0.1:9', getToken: () => null });

export const render = (groupId: string): string => renderToString(<Page client={client} groupId={groupId} />);
