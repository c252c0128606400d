import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import { type CallWindow, callWorld } from './call-harness.ts';

const ACTIONS = [
  'start',
  'accept',
  'decline',
  'hangUp',
  'leave',
  'relay away',
  'relay back',
  'network',
  'online',
] as const;
type Action = (typeof ACTIONS)[number];

afterEach(() => vi.restoreAllMocks());

/** Of ten actions, calling and answering are the most: otherwise there would rarely be a call. */
const action = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<Action>('start', 'accept', 'network') },
  { weight: 3, arbitrary: fc.constantFrom<Action>(...ACTIONS) },
);
const step = fc.record({ afterMs: fc.constantFrom(0, 1, 40, 300, 2_500), by: fc.nat({ max: 2 }), action });

/** Random numbers from a seed, so that a failure can be run again. */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function act(window: CallWindow, peer: string, what: Action, changeNetwork: () => void): void {
  const { call, state } = window;
  switch (what) {
    case 'start':
      if (state === 'idle' || state === 'ended') call.start({ groupId: 1, userId: peer, video: true });
      return;
    case 'accept':
      return call.accept();
    case 'decline':
      return call.decline();
    case 'hangUp':
      return call.hangUp();
    case 'leave':
      return void window.page.dispatchEvent(new Event('pagehide'));
    case 'relay away':
      return window.connect(false);
    case 'relay back':
      return window.connect(true);
    case 'network':
      return changeNetwork();
    case 'online':
      return void window.page.dispatchEvent(new Event('online'));
    default:
      return what satisfies never;
  }
}

/** How long signals are lost after the last step, in milliseconds, and how long a call may then be undecided. */
const LOSSY_MS = 60_000;
const DECIDED_MS = 60_000;

test('whatever is lost, late or doubled, both sides end up in one call or in none, and no camera stays on (G72)', async () => {
  let connected = 0;
  let ended = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 2, maxLength: 12 }),
      fc.record({ seed: fc.nat(), loss: fc.constantFrom(0, 0.1, 0.4, 0.8), spreadMs: fc.constantFrom(0, 30, 1_500) }),
      async (steps, { seed, loss, spreadMs }) => {
        const { clock, network, live, window, setFate } = callWorld();
        const random = numbersFrom(seed);
        vi.spyOn(crypto, 'getRandomValues').mockImplementation((bytes) => {
          for (let at = 0; at < bytes.byteLength; at += 1) (bytes as Uint8Array)[at] = Math.floor(random() * 256);
          return bytes;
        });
        const delay = (): number => 1 + Math.floor(random() * spreadMs);
        setFate(() => {
          if (random() < loss) return [];
          return random() < 0.1 ? [delay(), delay()] : [delay()];
        });
        // Bob has two windows.
        const windows = [window('alice'), window('bob'), window('bob')];
        const peerOf = ['bob', 'alice', 'alice'];
        for (const { afterMs, by, action: what } of steps) {
          await clock.advance(afterMs);
          const one = windows[by];
          if (one) act(one, peerOf[by] ?? '', what, network.change);
        }
        for (const each of windows) each.connect(true);
        await clock.advance(LOSSY_MS);
        setFate(() => [1]);
        await clock.advance(DECIDED_MS);

        const states = windows.map(({ state }) => state);
        const inCall = states.filter((state) => state === 'connected').length;
        expect(states.filter((state) => !['idle', 'ended', 'connected'].includes(state))).toEqual([]);
        expect({ inCall, alice: states[0] === 'connected' }).toEqual(
          inCall === 0 ? { inCall: 0, alice: false } : { inCall: 2, alice: true },
        );
        expect({ live: live(), connections: network.open.length }).toEqual({ live: 2 * inCall, connections: inCall });
        if (inCall === 0) expect(clock.timers).toBe(0);
        connected += inCall > 0 ? 1 : 0;
        ended += states.includes('ended') ? 1 : 0;
      },
    ),
    { numRuns: 300 },
  );
  // The runs were about calls: many came about, and many ended.
  expect([connected > 30, ended > 30]).toEqual([true, true]);
});
