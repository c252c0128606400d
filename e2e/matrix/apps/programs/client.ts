import { ClientError, createClient } from '@groupcast/client';
import { createCall } from '@groupcast/client/call';
import { attachDoctor } from '@groupcast/client/doctor';
import { diagnose } from '@groupcast/client/doctor/diagnose';
import { createInbox } from '@groupcast/client/inbox';
import { GroupcastProvider, useConnection, useMessages } from '@groupcast/client/react';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import type { Surroundings } from './surroundings.js';

function View({ groupId }: { groupId: string }) {
  const { state } = useConnection();
  return createElement('p', null, `${state}, ${useMessages(groupId).data?.messages.length ?? 'no'} messages`);
}

/** Makes a group, sends a message, sees it live, and renders a page of it. */
export async function work({ apiUrl, userToken, name }: Surroundings): Promise<void> {
  const client = createClient({ apiUrl, getToken: () => userToken, autoConnect: true });
  const { id } = await client.api.createGroup({ name, memberIds: [] });
  const messages = client.messages(id);
  const saved = new Promise<void>((resolve) => {
    messages.subscribe(() => {
      if (messages.getSnapshot().messages.some(({ content, status }) => content === 'hello' && status === 'sent'))
        resolve();
    });
  });
  client.send(id, 'hello');
  await saved;
  const page = renderToString(createElement(GroupcastProvider, { client }, createElement(View, { groupId: id })));
  client.close();
  if (!page.includes(' messages</p>')) throw new Error(`unexpected page: ${page}`);
  const parts: unknown[] = [createCall, attachDoctor, diagnose, createInbox];
  if (!parts.every((part) => typeof part === 'function')) throw new Error('a subpath has no function');
  const refusal: unknown = await client.api.createGroup({ name, memberIds: [] }).catch((error) => error);
  if (!(refusal instanceof ClientError)) throw new Error('unexpected answer of a closed client', { cause: refusal });
}
