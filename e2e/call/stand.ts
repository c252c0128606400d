import { startSystem, TURN, tokenFor } from '@groupcast/testing';

/** The servers of a call. */
export interface Stand {
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

/** API and relay, and a group of alice, bob and carol. */
export async function startStand(): Promise<Stand> {
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
