import type { AbsentState } from '@groupcast/shared';
import { received, tokenFor, tokenWith, until } from '@groupcast/testing';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type RelayUnderTest, refusal, startRelayUnderTest } from './relay-harness.ts';

/** `npm run test:courier` has a thousand. */
const MEMBERS = Number(process.env['COURIER_MEMBERS'] ?? 150);
const OF_EACH_KIND = Math.round(MEMBERS / 50);
/** A slow one is cut once four times this waits for it. */
const BUFFER_BYTES = 65_536;
const LARGE = 'x'.repeat(60_000);

let relay: RelayUnderTest;
beforeAll(async () => {
  // A slow one must not be taken for one that is gone: it does not answer a ping either, and on a busy machine it takes long until it is cut.
  relay = await startRelayUnderTest({ MAX_BUFFERED_BYTES: String(BUFFER_BYTES), PING_INTERVAL_MS: '120000' });
});
afterAll(async () => relay.close());

/** The TCP socket of a client's WebSocket. */
function wireOf(socket: Socket): { pause(): void } {
  const { ws } = socket.io.engine.transport as unknown as { ws: { _socket: { pause(): void } } };
  return ws._socket;
}

/** Each makes a user absent in its way. */
const ABSENCES: Readonly<
  Record<Exclude<AbsentState, 'undecided' | 'node-unreachable'>, (userId: string) => Promise<void>>
> = {
  async offline(userId) {
    (await relay.member(userId, ['g'])).close();
  },
  async 'connected-not-joined'(userId) {
    await relay.member(userId, []);
  },
  async 'token-expired'(userId) {
    const seconds = Math.floor(Date.now() / 1_000);
    const token = await tokenWith({ sub: userId, groups: ['g'], iat: seconds - 600, exp: seconds - 300 });
    expect(await refusal(relay.client({ token }))).toBe('TOKEN_EXPIRED');
  },
  async refused(userId) {
    expect(await ask(await relay.member(userId, []), 'join-group', { groupId: 'g' })).toBe('NOT_A_MEMBER');
  },
  async 'slow-consumer'(userId) {
    const socket = relay.client({ token: await tokenFor(userId, ['g', `large-${userId}`]) });
    await received(socket, 'joined-groups');
    wireOf(socket).pause();
    await until('it is cut', async () => {
      const large = { groupId: `large-${userId}`, message: { text: LARGE } };
      const { recipients } = await relay.broadcaster.broadcastMessage(large);
      return recipients.connections === 0;
    });
    socket.close();
  },
};

test(`of ${MEMBERS} expected users every one is told right, with five kinds of absences among them (G82)`, async () => {
  const kinds = Object.keys(ABSENCES) as (keyof typeof ABSENCES)[];
  const absent = new Map(
    kinds.flatMap((kind) => Array.from({ length: OF_EACH_KIND }, (_, n) => [`${kind}-${n}`, kind] as const)),
  );
  const there = Array.from({ length: MEMBERS - absent.size }, (_, n) => `there-${n}`);
  await Promise.all([...absent].map(async ([userId, kind]) => ABSENCES[kind](userId)));
  for (let start = 0; start < there.length; start += 50) {
    await Promise.all(there.slice(start, start + 50).map(async (userId) => relay.member(userId, ['g'])));
  }
  const { delivery } = await relay.broadcaster.broadcastMessage({
    groupId: 'g',
    message: { text: 'to all' },
    expectedUserIds: [...absent.keys(), ...there],
    withinMs: 4_000,
  });
  const told = new Map<string, string>([
    ...(delivery?.proven ?? []).map((userId) => [userId, 'proven'] as const),
    ...(delivery?.pending ?? []).map((userId) => [userId, 'pending'] as const),
    ...(delivery?.absent ?? []).map(({ userId, why }) => [userId, why] as const),
  ]);
  const wrong = [...absent, ...there.map((userId) => [userId, 'proven'] as const)].filter(
    ([userId, state]) => told.get(userId) !== state,
  );
  console.info(`${MEMBERS} expected, ${absent.size} of them absent: ${MEMBERS - wrong.length} told right`);
  expect(told.size).toBe(MEMBERS);
  expect(wrong.map(([userId, state]) => `${userId}: ${state}, and not ${told.get(userId)}`)).toEqual([]);
}, 300_000);
