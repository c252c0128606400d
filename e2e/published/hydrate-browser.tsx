import { createClient } from '@groupcast/client';
import { hydrateRoot } from 'react-dom/client';
import { Page } from './hydrated-page.js';

const fragment = new URLSearchParams(location.hash.slice(1));
const groupId = fragment.get('group') ?? '';
const client = createClient({ apiUrl: fragment.get('api') ?? '', getToken: () => fragment.get('token') });
const root = document.querySelector('#root');
if (!root) throw new Error('there is no #root');

client.messages(groupId).subscribe(begin);
client.connection.subscribe(begin);

let begun = false;
function begin(): void {
  const isKnown = client.messages(groupId).getSnapshot().status === 'ready' && client.unread.getSnapshot() > 0;
  if (begun || !root || !isKnown || client.connection.getSnapshot().state !== 'connected') return;
  begun = true;
  hydrateRoot(root, <Page client={client} groupId={groupId} />, {
    onRecoverableError: (error) => console.error('hydration failed', error),
  });
}
