import { startSystem, TURN, tokenFor, turnCredentials } from '@groupcast/testing';
import { startSignalServer } from './signal-server.ts';

/** The servers of a call. */
interface Stand {
  /** The ports of this machine that the browser needs. */
  ports: number[];
  /** The group of all who call each other. */
  groupId: string;
  /** The fragment of a user's page. */
  fragment: (user: string) => Promise<Record<string, string>>;
  /** The messages of kind `call` in the group. */
  messages: () => Promise<unknown[]>;
  stop: () => Promise<void>;
}

/** Signals, and nothing else. */
async function scripted(): Promise<Stand> {
  const server = await startSignalServer((userId) => [
    { urls: TURN.url, ...turnCredentials(TURN.secret, userId, Math.floor(Date.now() / 1_000) + 600) },
  ]);
  return {
    ports: [server.port],
    groupId: '1',
    fragment: async (user) => ({ user, server: `http://127.0.0.1:${server.port}` }),
    messages: async () => server.messages,
    stop: server.stop,
  };
}

/** API and relay. */
async function real(): Promise<Stand> {
  const system = await startSystem({ ICE_TURN_URLS: TURN.url, ICE_TURN_SECRET: TURN.secret });
  const token = await tokenFor('alice');
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const groups = `${system.apiUrl}/api/messaging/groups`;
  const body = JSON.stringify({ name: 'Calls', memberIds: ['bob', 'carol'] });
  const created = await fetch(groups, { method: 'POST', headers, body });
  const { group } = (await created.json()) as { group: { id: string } };
  return {
    ports: [system.apiUrl, system.relayUrl].map((url) => Number(new URL(url).port)),
    groupId: group.id,
    fragment: async (user) => ({ api: system.apiUrl, token: await tokenFor(user) }),
    async messages() {
      const answer = await fetch(`${groups}/${group.id}/messages`, { headers });
      const { messages } = (await answer.json()) as { messages: Record<string, unknown>[] };
      return messages.map(({ kind, content, custom }) => ({ kind, content, custom }));
    },
    stop: system.stop,
  };
}

export const STANDS = { scripted, real };
