import { EventEmitter, once } from 'node:events';
import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { createComebacks, type FoundComeback } from '../src/comebacks/comebacks.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';
import type { SessionStore } from '../src/nodes/session-store.ts';
import { createOffsets } from '../src/sessions/offsets.ts';
import type { RelayServer, UserSocket } from '../src/sessions/session.ts';
import type { LeftSession } from '../src/wire-format.ts';

const PAGE = { userId: 'alice', dialect: 'native', unwanted: [], opened: [], socketIds: [] };
const SESSION_ID = 'relay-a.aaaaaaaaaaaaaaaaaaaa';
type Answer = { found?: LeftSession; holder?: string };

/** A session whose only group tells where it is from. */
const sessionIn = (groupId: string): LeftSession => ({
  dialect: 'native',
  groups: [[groupId, null]],
  unwanted: [],
  opened: [],
  socketIds: [],
});

/** `copyOf` is the holder of a copy of Alice's session, if there is one. */
function comebacksWith(copyOf: string | undefined, poll: () => Promise<{ answers: Answer[] }>, isAway = false) {
  const metrics = createRelayMetrics();
  const last = { from: 0, upTo: 0, key: 'key', of: new Map() };
  const places = new Map([['copy', { since: 0, noted: 0, position: null }]]);
  const kept = { session: { holder: String(copyOf), page: PAGE, places }, last };
  const store = {
    async find() {
      if (isAway) throw new Error('redis is away');
      return copyOf === undefined ? undefined : { holder: copyOf, kept };
    },
  } as Partial<SessionStore> as SessionStore;
  const comebacks = createComebacks(
    { of: () => ({ sockets: new Map() }) } as unknown as RelayServer,
    {
      offsets: createOffsets('ourself'),
      store,
      otherNodes: { answer: () => undefined, poll },
      metrics,
      log: pino({ level: 'silent' }),
    } as unknown as Parameters<typeof createComebacks>[1],
  );
  const find = async (): Promise<FoundComeback | undefined> => {
    const session = { kind: 'user', userId: 'alice' };
    return comebacks.find({ data: { session }, handshake: { auth: { pid: SESSION_ID } } } as unknown as UserSocket);
  };
  const counted = async (outcome: string): Promise<number> => {
    const text = await metrics.registry.metrics();
    return Number(new RegExp(`comebacks_total\\{outcome="${outcome}"\\} (\\d+)`).exec(text)?.[1]);
  };
  return { find, counted };
}

/** Looks for Alice's session, by a copy of it that `copyOf` has, if anybody, and by the answers of other relays. */
async function search(copyOf: string | undefined, answers: Answer[], isAway = false): Promise<string | undefined> {
  const { find, counted } = comebacksWith(copyOf, async () => ({ answers }), isAway);
  const found = await find();
  expect(await counted('not-found')).toBe(found ? 0 : 1);
  return found?.found.groups[0]?.[0];
}

describe('a session that a stock client comes back to', () => {
  const [a, b] = [
    { found: sessionIn('a'), holder: 'relay-a.' },
    { found: sessionIn('b'), holder: 'relay-b.' },
  ];
  test.each<[string, string | undefined, string | undefined, Answer[]]>([
    ['at the relay that has it', 'a', 'relay-a.', [{}, a]],
    ['at the relay that has it, and not at one that had it before', 'b', 'relay-b.', [a, b]],
    ['in its copy, where only a relay answers that had it before', 'copy', 'relay-b.', [a]],
    ['in its copy, where nobody answers', 'copy', 'relay-b.', [{}]],
    ['at a relay of the version before', 'a', 'relay-a.', [{ found: sessionIn('a') }]],
    ['at the relay that answers, where there is no copy', 'a', undefined, [a]],
    ['nowhere, where there is no copy and two relays have it', undefined, undefined, [a, b]],
    ['nowhere, where this process has it by its copy and does not know it', undefined, 'ourself.', [a]],
  ])('is found %s', async (_, found, copyOf, answers) => {
    expect(await search(copyOf, answers)).toBe(found);
  });

  test('is found only at the relay that has made the offset while Redis is away', async () => {
    expect(await search('relay-b.', [a], true)).toBe('a');
    // Its client has spoken with the other one last.
    expect(await search('relay-b.', [b], true)).toBeUndefined();
  });

  test('was not asked for where its user asks too much at once, and where nobody can be asked', async () => {
    const others = new EventEmitter();
    const many = comebacksWith(undefined, async () => {
      await once(others, 'answer');
      return { answers: [] };
    });
    const asked = Array.from({ length: 6 }, async () => many.find());
    await until('the sixth', async () => (await many.counted('not-asked')) === 1);
    others.emit('answer');
    await Promise.all(asked);
    expect([await many.counted('not-asked'), await many.counted('not-found')]).toEqual([1, 5]);

    const alone = comebacksWith(undefined, async () => Promise.reject(new Error('redis is away')));
    await alone.find();
    expect([await alone.counted('not-asked'), await alone.counted('not-found')]).toEqual([1, 0]);
    const copied = comebacksWith('relay-b.', async () => Promise.reject(new Error('redis is away')));
    expect((await copied.find())?.holder).toBe('relay-b.');
  });
});
