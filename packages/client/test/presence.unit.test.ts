import { describe, expect, test } from 'vitest';
import { createPresence } from '../src/conversation/presence.ts';
import { createViewing } from '../src/conversation/viewing.ts';
import { ClientError } from '../src/errors.ts';
import { manualClock, memoryLogger, turns } from './manual-clock.ts';

type Answer = Record<string, unknown> | ClientError;

function setUp(memberCount = 3) {
  const clock = manualClock();
  const asked: { event: string; payload: unknown; answer: (answer: Answer) => Promise<void> }[] = [];
  const presence = createPresence({
    ask: async (event, payload) =>
      new Promise((resolve, reject) => {
        asked.push({
          event,
          payload,
          async answer(answer) {
            if (answer instanceof ClientError) reject(answer);
            else resolve(answer);
            await turns();
          },
        });
      }),
    memberCountOf: () => memberCount,
    clock,
    log: memoryLogger(),
    onListenerError: (error) => {
      throw error;
    },
  });
  const questions = (): string[] => asked.map(({ event }) => event);
  return { clock, asked, questions, presence, handle: presence.handleOf('g') };
}
const users = (...ids: string[]) => ({
  users: ids.map((userId) => ({ userId, connections: 1 })),
  numUsers: ids.length,
});
const change = (online: string[], offline: string[] = []): object => ({ groupId: 'g', online, offline });

describe('presence', () => {
  test('is asked for the first listener, once there is a connection, and follows the changes', async () => {
    const { presence, handle, asked, questions } = setUp();
    handle.subscribe(() => undefined);
    handle.subscribe(() => undefined);
    expect(questions()).toEqual([]);
    presence.ready();
    presence.ready();
    await turns();
    expect(asked.map(({ payload }) => payload)).toEqual([{ groupId: 'g' }]);
    // A change that passes while the answer is on its way.
    presence.onPresence(change(['carol'], ['bob']));
    expect(handle.getSnapshot().status).toBe('unknown');
    await asked[0]?.answer(users('me', 'bob'));
    expect(handle.getSnapshot()).toEqual({ status: 'ready', online: new Set(['me', 'carol']), count: 2 });
    presence.onPresence(change(['bob', 'carol']));
    presence.onPresence({ groupId: 'other', online: ['x'], offline: [] });
    expect(handle.getSnapshot()).toEqual({ status: 'ready', online: new Set(['me', 'carol', 'bob']), count: 3 });
    expect(questions()).toEqual(['get-presence']);
  });

  test('is not certain without a connection, and asked again on the next one', async () => {
    const { presence, handle, asked } = setUp();
    presence.ready();
    handle.subscribe(() => undefined);
    await turns();
    await asked[0]?.answer(users('bob'));
    presence.down();
    expect(handle.getSnapshot()).toEqual({ status: 'unknown', online: new Set(['bob']), count: 1 });
    presence.ready();
    await turns();
    await asked[1]?.answer(users('carol'));
    expect(handle.getSnapshot()).toEqual({ status: 'ready', online: new Set(['carol']), count: 1 });
  });

  test('an answer of the connection before is left out', async () => {
    const { presence, handle, asked } = setUp();
    presence.ready();
    handle.subscribe(() => undefined);
    await turns();
    presence.down();
    presence.ready();
    await turns();
    await asked[1]?.answer(users('carol'));
    await asked[0]?.answer(users('bob'));
    expect(handle.getSnapshot().online).toEqual(new Set(['carol']));
  });

  test('in a larger group the relay is asked for changes first, until nobody has looked for a while', async () => {
    const { presence, handle, asked, questions, clock } = setUp(101);
    presence.ready();
    const stop = handle.subscribe(() => undefined);
    await turns();
    await asked[0]?.answer({});
    await asked[1]?.answer({ ...users('bob'), numUsers: 5_000 });
    expect([questions(), handle.getSnapshot().count]).toEqual([['watch-group', 'get-presence'], 5_000]);
    stop();
    handle.subscribe(() => undefined)();
    await clock.advance(5_000);
    expect([asked[2]?.payload, handle.getSnapshot().status, clock.timers]).toEqual([
      { groupId: 'g', on: false },
      'unknown',
      0,
    ]);
  });

  test('a question that failed for now is asked again; one that was refused is not, until there is a reason', async () => {
    const { presence, handle, asked, questions, clock } = setUp();
    presence.ready();
    handle.subscribe(() => undefined);
    await turns();
    await asked[0]?.answer(new ClientError('RATE_LIMITED', 'slow', { retryable: true, retryAfterMs: 700 }));
    await clock.advance(700);
    await asked[1]?.answer(new ClientError('NOT_A_MEMBER', 'not yet'));
    await clock.advance(60_000);
    expect(questions().length).toBe(2);
    // The connection is in another group.
    presence.ready();
    await turns();
    await asked[2]?.answer(users('bob'));
    expect(handle.getSnapshot().status).toBe('ready');
  });

  test('many groups share a question; one that is too large for it is asked for alone', async () => {
    const { presence, asked } = setUp();
    const handles = Array.from({ length: 150 }, (_, n) => presence.handleOf(`g${n}`));
    for (const handle of handles) handle.subscribe(() => undefined);
    presence.ready();
    await turns();
    const numbers = asked.map(({ payload }) => (payload as { groupIds: string[] }).groupIds.length);
    expect(numbers).toEqual([100, 50]);
    const error = (code: string) => ({ error: { code, message: 'no', retryable: false } });
    await asked[0]?.answer({
      groups: { g0: users('bob'), g1: error('PAYLOAD_TOO_LARGE'), g2: error('NOT_A_MEMBER') },
    });
    expect(asked[2]?.payload).toEqual({ groupId: 'g1' });
    await asked[2]?.answer(users('carol'));
    expect(handles.slice(0, 4).map((handle) => Array.from(handle.getSnapshot().online).join())).toEqual([
      'bob',
      'carol',
      '',
      '',
    ]);
  });

  test('has a bound, and nothing is left when it is stopped', async () => {
    const { presence, handle, asked, clock } = setUp();
    presence.ready();
    handle.subscribe(() => undefined);
    await turns();
    await asked[0]?.answer(users(...Array.from({ length: 12_000 }, (_, n) => `user-${n}`)));
    expect([handle.getSnapshot().online.size, handle.getSnapshot().count]).toEqual([10_000, 12_000]);
    presence.onPresence(change(['one more']));
    expect(handle.getSnapshot().online.size).toBe(10_000);
    presence.stop();
    expect(clock.timers).toBe(0);
  });
});

describe('the group on screen', () => {
  function view() {
    const told: unknown[] = [];
    const viewing = createViewing({
      async ask(_, payload) {
        told.push((payload as { groupId: unknown }).groupId);
        throw new ClientError('UNKNOWN_EVENT', 'what?');
      },
      onListenerError: (error) => {
        throw error;
      },
    });
    return { told, viewing };
  }
  const message = { id: 'm', groupId: 'g', epoch: '1-a', seq: 3, senderId: 'bob', content: 'hi', createdAt: '' };

  test('is told once there is a connection, again on the next one, and only the last of a turn', async () => {
    const { told, viewing } = view();
    viewing.view(1);
    await turns();
    expect(told).toEqual([]);
    viewing.ready();
    await turns();
    viewing.view(null);
    viewing.view('h');
    await turns();
    viewing.view('h');
    await turns();
    viewing.down();
    viewing.ready();
    await turns();
    viewing.view(null);
    await turns();
    viewing.down();
    viewing.ready();
    await turns();
    expect(told).toEqual(['1', 'h', 'h', null]);
  });

  test('notifies of messages in other groups, as a message is everywhere; nonsense is left out', () => {
    const { viewing } = view();
    const heard: unknown[] = [];
    const stop = viewing.subscribe((notification) => heard.push(notification));
    viewing.view('h');
    for (const groupId of ['g', 'h'])
      viewing.onNotification({ kind: 'message', groupId, message: { ...message, groupId } });
    viewing.onNotification({ kind: 'poke', groupId: 'g', message });
    viewing.onNotification({ kind: 'message', groupId: 'g', message: { id: 'm' } });
    viewing.onNotification(undefined);
    expect(heard).toEqual([
      { kind: 'message', groupId: 'g', message: { ...message, kind: 'text', sender: { userId: 'bob' } } },
    ]);
    stop();
    viewing.onNotification({ kind: 'message', groupId: 'g', message });
    expect(heard.length).toBe(1);
  });
});
