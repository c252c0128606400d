import { describe, expect, test } from 'vitest';
import { createTyping } from '../src/conversation/typing.ts';
import { ClientError } from '../src/errors.ts';
import { manualClock } from './manual-clock.ts';

function setUp() {
  const clock = manualClock();
  const relay = { connected: true };
  const told: [number, unknown][] = [];
  const typing = createTyping({
    ask(_, payload) {
      if (!relay.connected) return undefined;
      told.push([clock.now(), (payload as { isTyping: boolean }).isTyping]);
      return Promise.reject(new ClientError('RATE_LIMITED', 'slow down', { retryable: true }));
    },
    me: () => 'me',
    clock,
    onListenerError: (error) => {
      throw error;
    },
  });
  const handle = typing.handleOf('g');
  const says = (userId: unknown, isTyping: unknown, groupId: unknown = 'g'): void =>
    typing.onTyping({ groupId, userId, isTyping });
  return { clock, relay, told, typing, handle, says };
}

describe('typing of others', () => {
  test('is shown from its first word to its last, each typist once, in the order in which they began', () => {
    const { handle, says } = setUp();
    let calls = 0;
    handle.subscribe(() => (calls += 1));
    says('bob', true);
    says('carol', true);
    says('bob', true);
    says('me', true);
    expect([handle.getSnapshot(), calls]).toEqual([['bob', 'carol'], 2]);
    expect(handle.getSnapshot()).toBe(handle.getSnapshot());
    says('bob', false);
    says('bob', false);
    expect([handle.getSnapshot(), calls]).toEqual([['carol'], 3]);
  });

  test('goes on for as long as nothing else is said, and ends by itself after two minutes, where the end was lost', async () => {
    const { handle, says, clock } = setUp();
    says('bob', true);
    await clock.advance(60_000);
    says('bob', true);
    await clock.advance(119_999);
    expect(handle.getSnapshot()).toEqual(['bob']);
    await clock.advance(1);
    expect([handle.getSnapshot(), clock.timers]).toEqual([[], 0]);
  });

  test('ends with the message, with the membership, with the group and with the connection', () => {
    const { handle, says, typing, clock } = setUp();
    const at = { id: 'e', groupId: 'g', epoch: '1-a', seq: 1 };
    for (const userId of ['bob', 'carol', 'dora', 'erin']) says(userId, true);
    typing.onEvent({ ...at, event: 'new-message', senderId: 'bob' });
    typing.onEvent({ ...at, event: 'member-removed', userIds: ['carol'] });
    expect(handle.getSnapshot()).toEqual(['dora', 'erin']);
    says('bob', true, 'h');
    typing.forget('g');
    expect([handle.getSnapshot(), typing.handleOf('h').getSnapshot()]).toEqual([[], ['bob']]);
    typing.forget();
    expect([typing.handleOf('h').getSnapshot(), clock.timers]).toEqual([[], 0]);
  });

  test('has a bound, in a group and over all groups; nonsense is left out', () => {
    const { handle, says, typing, clock } = setUp();
    for (let n = 0; n < 100; n += 1) says(`user-${n}`, true);
    expect(handle.getSnapshot().length).toBe(20);
    for (let n = 0; n < 5_000; n += 1) says('bob', true, `group-${n}`);
    expect(clock.timers).toBe(20 + 999);
    for (const payload of [null, 'x', {}, { groupId: 'g', userId: 'a b', isTyping: true }]) typing.onTyping(payload);
    expect(clock.timers).toBe(20 + 999);
    typing.stop();
    expect(clock.timers).toBe(0);
  });
});

describe('one’s own typing', () => {
  test('is told at most once in 3 s while there is input, and its end 5 s after the last', async () => {
    const { handle, told, clock } = setUp();
    for (let n = 0; n < 80; n += 1) {
      handle.start();
      await clock.advance(100);
    }
    await clock.advance(20_000);
    expect(told).toEqual([
      [0, true],
      [3_000, true],
      [6_000, true],
      [12_900, false],
    ]);
    expect(clock.timers).toBe(0);
  });

  test('ends with the message and with an empty field, once; where nothing was typed nothing is told', () => {
    const { handle, typing, told } = setUp();
    handle.stop();
    typing.sent('g');
    expect(told).toEqual([]);
    handle.start();
    typing.sent('g');
    typing.sent('g');
    handle.start();
    handle.stop();
    expect(told.map(([, isTyping]) => isTyping)).toEqual([true, false, true, false]);
  });

  test('without a connection nobody is told, and stopped neither', async () => {
    const { handle, typing, relay, told, clock } = setUp();
    relay.connected = false;
    handle.start();
    await clock.advance(10_000);
    relay.connected = true;
    typing.stop();
    handle.start();
    expect([told, clock.timers]).toEqual([[], 0]);
  });
});
