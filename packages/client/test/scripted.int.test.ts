import { type ClientOptions, type Clock, createClient, type GroupcastClient, type GroupEvent } from '@groupcast/client';
import { startTcpProxy, until } from '@groupcast/testing';
import { io as socketIo } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { keepRead } from '../src/react/keep-read.ts';
import { memoryLogger } from './manual-clock.ts';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

const LIST = 'GET /api/messaging/groups';
const TOKEN = 'POST /api/realtime/token';
const EVENTS = 'GET /api/messaging/groups/g/events';

/** The system's clock, and what it still has to do. */
function countingClock(): { clock: Clock; timers: Set<unknown> } {
  const timers = new Set<unknown>();
  const clock: Clock = {
    now: () => performance.now(),
    setTimeout(run, delayMs) {
      const timer = setTimeout(() => {
        timers.delete(timer);
        run();
      }, delayMs);
      timers.add(timer);
      return timer;
    },
    clearTimeout(timer) {
      timers.delete(timer);
      clearTimeout(timer as NodeJS.Timeout);
    },
  };
  return { clock, timers };
}

/** The system's clock, of which timers of a given length can be made to run now. */
function hurriedClock(): { clock: Clock; run: (delayMs: number) => void; runAbove: (delayMs: number) => void } {
  const waiting = new Map<unknown, { delayMs: number; run: () => void }>();
  const clock: Clock = {
    now: () => performance.now(),
    setTimeout(run, delayMs) {
      const once = (): void => {
        if (waiting.delete(timer)) run();
      };
      const timer = setTimeout(once, delayMs);
      waiting.set(timer, { delayMs, run: once });
      return timer;
    },
    clearTimeout(timer) {
      waiting.delete(timer);
      clearTimeout(timer as NodeJS.Timeout);
    },
  };
  return {
    clock,
    run(delayMs) {
      for (const timer of [...waiting.values()].filter((one) => one.delayMs === delayMs)) timer.run();
    },
    runAbove(delayMs) {
      for (const timer of [...waiting.values()].filter((one) => one.delayMs > delayMs)) timer.run();
    },
  };
}

describe('the client against servers that misbehave', () => {
  let server: ScriptedServer;
  let client: GroupcastClient;
  const shown: GroupEvent[] = [];
  const log = memoryLogger();

  beforeEach(async () => {
    server = await startScriptedServer();
    server.addGroup('g', 3);
    shown.length = 0;
    log.lines.length = 0;
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    client.close();
    await server.close();
  });

  function start(options: Partial<ClientOptions> = {}): void {
    client = createClient({
      apiUrl: server.url,
      getToken: () => 'user token',
      autoConnect: true,
      reconnectMinMs: 20,
      reconnectMaxMs: 100,
      gapHoldMs: 40,
      cursorIntervalMs: 50,
      logger: log,
      ...options,
    });
    client.on('event', (event) => shown.push(event));
  }
  const state = (): string => client.connection.getSnapshot().state;
  const seqs = (groupId = 'g'): number[] => shown.filter((event) => event.groupId === groupId).map(({ seq }) => seq);
  const connected = async (): Promise<unknown> => until('connected', () => state() === 'connected');
  const showing = async (...expected: number[]): Promise<void> => {
    await until(`events ${expected.join()}`, () => seqs().length >= expected.length);
    expect(seqs()).toEqual(expected);
  };
  const reason = (): string | undefined => client.connection.getSnapshot().reason?.code;
  function cut(): void {
    for (const socket of server.sockets()) socket.conn.close();
  }
  const end = (ending: object): void => {
    for (const socket of server.sockets()) {
      socket.emit('session-ending', { message: 'told to', retryAfterMs: 0, ...ending });
      socket.conn.close();
    }
  };

  test('events that come twice, in the wrong order or not at all are shown once, in order, all of them', async () => {
    start();
    await connected();
    const events = Array.from({ length: 20 }, () => server.publish('g', { lost: true }));
    for (const index of [0, 0, 3, 2, 1, 0, 7, 6, 9, 19, 12, 12]) {
      const event = events[index];
      if (event) server.deliver(event);
    }
    await showing(...Array.from({ length: 20 }, (_, index) => index + 4));
    expect(server.heard.map(({ event }) => event)).toContain('resume');
    expect([server.count(EVENTS), client.stats().duplicates]).toEqual([0, expect.any(Number)]);
  });

  test('a relay that delivers nothing at the moment is not asked, and the API is polled, until it says that it is live again (G56)', async () => {
    const refusal = { code: 'BROKER_UNAVAILABLE', message: 'cut off', retryable: true };
    for (const event of ['resume', 'join-group']) server.script.refused.set(event, refusal);
    start({ pollIntervalMs: 60, pollAfterMs: 60_000 });
    await connected();
    server.emit('service-state', { live: false });
    await until('the client to know', () => state() === 'recovering');
    server.publish('g', { lost: true });
    await showing(4);
    // It goes on, whatever a poll has found.
    server.publish('g', { lost: true });
    await showing(4, 5);
    expect([state(), server.heard.filter(({ event }) => event === 'resume')]).toEqual(['recovering', []]);
    expect(client.stats()).toMatchObject({ fetched: 2, missedFoundByPoll: 2 });

    server.script.refused.clear();
    const polls = server.count(LIST);
    server.emit('service-state', { live: true });
    await connected();
    server.publish('g');
    await showing(4, 5, 6);
    expect(server.count(LIST) - polls).toBeLessThanOrEqual(1);
    expect(client.stats()).toMatchObject({ live: 1 });
  });

  test('a connection that is lost while its relay delivers nothing is live again with the next one', async () => {
    start({ pollIntervalMs: 60, pollAfterMs: 60_000 });
    await connected();
    server.emit('service-state', { live: false });
    await until('the client to know', () => state() === 'recovering');
    cut();
    await connected();
    server.publish('g');
    await showing(4);
    expect(client.stats()).toMatchObject({ live: 1 });
  });

  test('an answer about a group that nobody asked for, called like what every object has, is no page of it', async () => {
    start();
    await connected();
    const position = { epoch: server.groups.get('g')?.epoch ?? '', seq: 2 };
    const foreign = { event: 'new-message', id: 'x', groupId: 'toString', epoch: position.epoch, seq: 1, content: 'x' };
    server.emit('resumed', { groups: { toString: { recovered: true, position, events: [foreign], more: false } } });
    server.publish('g');
    await until('the next event of another group', () => seqs().includes(4));
    expect(seqs('toString')).toEqual([]);
  });

  test('a lost last event in a quiet group is found by the head', async () => {
    start();
    await connected();
    const lost = server.publish('g', { lost: true });
    server.emit('group-head', { groupId: 'g', epoch: lost.epoch, seq: lost.seq });
    await showing(4);
  });

  test('an event for others is stepped over', async () => {
    start();
    await connected();
    const other = server.publish('g', { lost: true });
    server.emit('group-head', { groupId: 'g', epoch: other.epoch, seq: other.seq, skipId: other.id });
    server.publish('g');
    await showing(5);
    expect(server.heard.filter(({ event }) => event === 'resume')).toEqual([]);
  });

  test('every group is kept up to date, by numbers or strings, whatever is on screen', async () => {
    server.addGroup('7', 1);
    start();
    await connected();
    client.messages('g').subscribe(() => undefined);
    server.publish('7');
    await until('the event', () => seqs('7').length === 1);
    expect(client.group(7).getSnapshot()).toMatchObject({ id: '7', unreadCount: 1, lastMessage: { content: '7 2' } });
    expect(client.messages(7)).toBe(client.messages('7'));
  });

  test('numbers on the wire become strings', async () => {
    server.addGroup('7', 1);
    start();
    await connected();
    server.emit('new-message', { id: 99, groupId: 7, epoch: '1-a', seq: 2, senderId: 5, content: 'hi', createdAt: '' });
    await until('the event', () => seqs('7').length === 1);
    expect(shown[0]).toMatchObject({ id: '99', groupId: '7', senderId: '5' });
  });

  test('after a reconnect the relay’s log brings what was missed, and the API is not asked for anything', async () => {
    start();
    await connected();
    const before = server.requests.length;
    cut();
    server.publish('g', { lost: true });
    server.publish('g', { lost: true });
    await showing(4, 5);
    await connected();
    expect(server.handshakes[1]?.positions).toEqual({ g: { epoch: '1-a', seq: 3 } });
    expect(server.requests.slice(before)).toEqual([]);
    expect(client.stats()).toMatchObject({ recovered: 2, live: 0, fetched: 0 });
  });

  test('a long absence from many groups is made up for in portions, by the relay alone', async () => {
    const ids = Array.from({ length: 120 }, (_, index) => `many-${index}`);
    for (const id of ids) server.addGroup(id);
    start();
    await connected();
    const before = server.requests.length;
    server.script.budget = 50;
    cut();
    for (let round = 0; round < 10; round += 1) for (const id of ids) server.publish(id, { lost: true });
    await until('everything', () => shown.length === 1_200);
    await connected();
    for (const id of ids) expect(seqs(id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const asked = server.heard.filter(({ event }) => event === 'resume').map(({ payload }) => payload);
    const sizes = asked.map((payload) => Object.keys((payload as { positions: object }).positions).length);
    expect(Math.max(...sizes)).toBe(50);
    expect(server.requests.slice(before)).toEqual([]);
  });

  test('a group that only the list names is joined when the list is read', async () => {
    start();
    await connected();
    server.script.unnamed.add('found');
    server.addGroup('found', 2);
    await client.groups.refresh();
    await until('the question', () => server.heard.some(({ event }) => event === 'resume'));
    server.publish('found');
    await until('the event', () => seqs('found').length === 1);
  });

  test('with more groups than the relay allows it connects all the same', async () => {
    server.script.refusals = [{ code: 'GROUP_LIMIT', message: 'too many', retryable: false }];
    start();
    await connected();
    expect(server.handshakes.map(({ positions }) => positions !== undefined)).toEqual([true, false]);
  });

  test('a relay that cannot recover is helped out by the API', async () => {
    server.script.recovers = false;
    server.script.unknown.add('update-cursors');
    start();
    await connected();
    cut();
    server.publish('g', { lost: true });
    await showing(4);
    await connected();
    server.publish('g', { lost: true });
    server.publish('g');
    await showing(4, 5, 6);
    client.markRead('g');
    await until('the read cursor', () => server.count('POST /api/messaging/groups/g/read') === 1);
    expect(client.stats()).toMatchObject({ recovered: 0, missedFoundByPoll: 0 });
    expect(server.heard.filter(({ event }) => event === 'resume').length).toBe(1);
  });

  test('a group that was started over is read again', async () => {
    start();
    await connected();
    const view = client.messages('g');
    view.subscribe(() => undefined);
    await until('the messages', () => view.getSnapshot().messages.length === 3);
    const resets: string[] = [];
    client.on('reset', ({ groupId, position }) => resets.push(`${groupId} ${position.epoch} ${position.seq}`));
    server.addGroup('g', 1, '2-b');
    server.publish('g', { fields: { content: 'new times' } });
    await until('the new messages', () => view.getSnapshot().messages.length === 2);
    expect(view.getSnapshot().messages.map(({ content }) => content)).toEqual(['g 1', 'new times']);
    server.publish('g');
    await until('live again', () => view.getSnapshot().messages.length === 3);
    expect(resets).toEqual(['g 2-b 2']);
    expect(seqs()).toEqual([3]);
    await until('the list', () => client.group('g').getSnapshot()?.position.epoch === '2-b');
    expect(client.group('g').getSnapshot()?.position).toEqual({ epoch: '2-b', seq: 3 });
  });

  test('groups that the token does not name are joined by asking', async () => {
    server.addGroup('far', 2);
    server.script.unnamed.add('far');
    server.script.recovers = false;
    start();
    await connected();
    await until('the question', () => server.heard.some(({ event }) => event === 'resume'));
    server.publish('far');
    await until('the event', () => seqs('far').length === 1);
  });

  test('a group that is new appears, one that is left goes', async () => {
    start();
    await connected();
    const left: string[] = [];
    client.on('left', ({ groupId }) => left.push(groupId));
    server.addGroup('n', 1);
    for (const socket of server.sockets()) await socket.join('n');
    server.emit('joined-groups', { groups: [{ groupId: 'n', position: { epoch: '1-a', seq: 1 } }] });
    server.publish('n');
    await until('the group', () => client.group('n').getSnapshot() !== undefined);
    expect(seqs('n')).toEqual([2]);
    server.groups.delete('n');
    server.emit('left-groups', { groups: ['n'], reason: 'member-removed' });
    await until('gone', () => left.includes('n'));
    expect(client.group('n').getSnapshot()).toBeUndefined();
  });

  test('an own message is shown once, whichever tells first that it is saved', async () => {
    start();
    await connected();
    const view = client.messages('g');
    view.subscribe(() => undefined);
    await until('the messages', () => view.getSnapshot().status === 'ready');
    // The event comes although the answer never does.
    server.script.apiFailures = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const { saved, clientMessageId } = client.send('g', 'mine');
    const fields = { content: 'mine', senderId: 'somebody else entirely', clientMessageId };
    server.publish('g', { fields });
    expect(await saved).toMatchObject({ content: 'mine', seq: 4 });
    server.script.apiFailures = [];
    const seen = new Set<number>();
    view.subscribe(() => {
      seen.add(view.getSnapshot().messages.filter(({ content }) => content === 'second').length);
    });
    const second = client.send('g', 'second');
    const { seq } = await second.saved;
    const event = server.groups.get('g')?.events[seq - 1];
    if (event) server.deliver(event);
    await until('the event', () => shown.some(({ content }) => content === 'second'));
    const third = client.send('g', 'second');
    server.script.apiFailures = [0];
    server.publish('g', { fields: { content: 'second', clientMessageId: third.clientMessageId } });
    await third.saved;
    // At no moment twice, or not at all.
    expect([...seen].toSorted()).toEqual([1, 2]);
    expect(
      view
        .getSnapshot()
        .messages.slice(3)
        .map((row) => [row.content, 'seq' in row]),
    ).toEqual([
      ['mine', true],
      ['second', true],
      ['second', true],
    ]);
  });

  test('unread messages of a group that was read in part are counted by the API', async () => {
    start();
    await connected();
    client.markRead('g', 2);
    await until('the question', () => server.count('POST /api/messaging/groups/g/read') === 1);
    client.markRead('g', 3);
    await until('the report', () => server.heard.some(({ event }) => event === 'update-cursors'));
    expect(server.heard.find(({ event }) => event === 'update-cursors')?.payload).toEqual({
      cursors: { g: { read: 3 } },
    });
  });

  test('a message that the list counts before it has come is marked as read once it has, by a window that shows the group', async () => {
    start({ gapHoldMs: 60_000 });
    await connected();
    const event = server.publish('g', { lost: true });
    server.script.unreadCount = 1;
    expect(await client.groups.refresh()).toBe(true);
    const visibility: { visibilityState: DocumentVisibilityState } = { visibilityState: 'visible' };
    const page = Object.assign(new EventTarget(), visibility);
    const stop = keepRead(client, 'g', page);
    const unread = (): number | undefined => client.group('g').getSnapshot()?.unreadCount;
    expect([seqs(), unread()]).toEqual([[], 1]);
    server.deliver(event);
    await showing(4);
    expect(unread()).toBe(0);

    page.visibilityState = 'hidden';
    server.publish('g');
    await showing(4, 5);
    expect(unread()).toBe(1);
    page.visibilityState = 'visible';
    page.dispatchEvent(new Event('visibilitychange'));
    expect(unread()).toBe(0);
    stop();
    server.publish('g');
    await showing(4, 5, 6);
    expect(unread()).toBe(1);
  });

  test('told that nobody could be asked about a group, it says so, and asks for it again later', async () => {
    server.addGroup('far', 1);
    start();
    await connected();
    server.heard.length = 0;
    server.emit('joined-groups', { groups: [], undecided: ['far'] });
    await until('the warning', () => log.lines.some((line) => line.includes('cannot ask its API')));
    expect([server.heard, state()]).toEqual([[], 'connected']);
  });

  test('told to stop, it stops, with the reason; and starts again when told to', async () => {
    start();
    await connected();
    end({ code: 'TOKEN_REVOKED', next: 'stop' });
    await until('the end', () => state() === 'ended');
    expect(reason()).toBe('TOKEN_REVOKED');
    expect(server.handshakes.length).toBe(1);
    client.connect();
    await connected();
  });

  test('told to come back, it comes back with the token it has', async () => {
    start();
    await connected();
    end({ code: 'SERVER_DRAINING', next: 'reconnect' });
    await until('the second handshake', () => server.handshakes.length === 2);
    await connected();
    expect(server.count(TOKEN)).toBe(1);
    end({ code: 'TOKEN_EXPIRED', next: 'reconnect' });
    await until('the third handshake', () => server.handshakes.length === 3);
    expect(server.count(TOKEN)).toBe(2);
  });

  test('told when to come back, it does not come earlier', async () => {
    start();
    await connected();
    const before = performance.now();
    end({ code: 'SERVER_DRAINING', next: 'reconnect', retryAfterMs: 300 });
    await until('the second handshake', () => server.handshakes.length === 2);
    expect(performance.now() - before).toBeGreaterThanOrEqual(295);
  });

  test('told to refresh its token, it does, and stays connected', async () => {
    start();
    await connected();
    server.emit('session-ending', { code: 'TOKEN_EXPIRED', message: 'soon', next: 'refresh-token', retryAfterMs: 0 });
    await until('the refresh', () => server.heard.some(({ event }) => event === 'refresh-token'));
    expect([server.handshakes.length, server.count(TOKEN), state()]).toEqual([1, 2, 'connected']);
  });

  test('a token is refreshed before it expires', async () => {
    server.script.tokenSeconds = 2;
    start();
    await connected();
    await until('two refreshes', () => server.heard.filter(({ event }) => event === 'refresh-token').length === 2);
    expect(server.handshakes.length).toBe(1);
  });

  test('refused for its token, it gets another one at once; refused again, it waits or ends', async () => {
    server.script.refusals = [{ code: 'TOKEN_EXPIRED', message: 'old', retryable: false }];
    start({ reconnectMinMs: 60_000, reconnectMaxMs: 60_000 });
    await connected();
    expect([server.handshakes.length, server.count(TOKEN)]).toEqual([2, 2]);
    expect(server.handshakes[0]?.token).not.toBe(server.handshakes[1]?.token);
    client.close();
    const revoked = { code: 'TOKEN_REVOKED', message: 'gone', retryable: false };
    server.script.refusals = [revoked, revoked];
    start();
    await until('the end', () => state() === 'ended');
    expect(reason()).toBe('TOKEN_REVOKED');
  });

  test('refused for a reason that passes, it tries again until it is let in', async () => {
    server.script.refusals = ['SERVER_DRAINING', 'TOO_MANY_CONNECTIONS', 'INTERNAL', 'GROUP_LIMIT', 'RATE_LIMITED'].map(
      (code) => ({ code, message: code, retryable: code !== 'GROUP_LIMIT' }),
    );
    start();
    await connected();
    expect([server.handshakes.length, server.count(TOKEN), reason()]).toEqual([6, 1, undefined]);
  });

  test('closed for a reason that passes, it says which, and tries again until it is let in', async () => {
    server.script.closings = ['BROKER_UNAVAILABLE: not now', 'INTERNAL: no keys', 'whatever a proxy says'];
    start();
    const reasons = new Set<string>();
    client.connection.subscribe(() => reasons.add(client.connection.getSnapshot().reason?.code ?? ''));
    await connected();
    expect([server.handshakes.length, server.count(TOKEN), reason()]).toEqual([4, 1, undefined]);
    expect([...reasons]).toEqual(expect.arrayContaining(['BROKER_UNAVAILABLE', 'INTERNAL', 'UNREACHABLE']));
  });

  test.each([
    ['the API', 'api'],
    ['the relay', 'relay'],
  ])('a token whose key %s does not know yet is no end: it stays, and tries again with it', async (_who, by) => {
    const behind = { code: 'TOKEN_INVALID', message: 'its key is not known yet', retryable: true };
    if (by === 'relay') server.script.refusals = [behind, behind];
    else server.script.apiErrors = [behind, behind, behind, behind];
    start();
    await connected();
    expect([server.count(TOKEN), reason()]).toEqual([by === 'relay' ? 1 : 5, undefined]);
  });

  test('where its positions are not understood, it comes without them', async () => {
    server.script.refusals = [{ code: 'INVALID_PAYLOAD', message: 'positions?', retryable: false }];
    start();
    await connected();
    expect(server.handshakes.map(({ positions }) => positions !== undefined)).toEqual([true, false]);
  });

  test('when the API does not take the user’s token, another one is asked for once; then it ends', async () => {
    let asked = 0;
    server.script.apiFailures = [401, 401];
    start({
      getToken() {
        asked += 1;
        return `token ${asked}`;
      },
    });
    await connected();
    expect(asked).toBe(2);
    client.close();
    server.script.apiFailures = Array.from({ length: 10 }, () => 401);
    start();
    await until('the end', () => state() === 'ended');
    expect(reason()).toBe('TOKEN_EXPIRED');
  });

  test('nobody logged in is an end too', async () => {
    start({ getToken: () => null });
    await until('the end', () => state() === 'ended');
    expect(reason()).toBe('TOKEN_MISSING');
  });

  test('where a proxy swallows WebSockets, long-polling carries the events', async () => {
    server.script.relay = 'swallows websockets';
    start({ connectTimeoutMs: 250 });
    await connected();
    server.publish('g');
    await showing(4);
  });

  test('a relay that dies between the first byte and its greeting is tried again at once, not after a time-out', async () => {
    server.script.relay = 'hangs up on websockets';
    start({ transports: ['websocket'], connectTimeoutMs: 60_000 });
    await until('the end of an attempt', () => state() === 'waiting');
    server.script.relay = 'up';
    await connected();
  });

  test('where nothing gets through to the relay, the API is polled; listeners hear only of news', async () => {
    server.script.relay = 'refuses';
    start({ pollAfterMs: 20, pollIntervalMs: 30 });
    const view = client.messages('g');
    let calls = 0;
    view.subscribe(() => undefined);
    await until('polling', () => state() === 'degraded-polling');
    await until('the messages', () => view.getSnapshot().status === 'ready');
    client.groups.subscribe(() => {
      calls += 1;
    });
    const polls = server.count('GET /api/messaging/groups');
    await until('five polls', () => server.count('GET /api/messaging/groups') >= polls + 5);
    expect([calls, server.count(EVENTS)]).toEqual([0, 0]);
    server.publish('g');
    server.publish('g');
    await showing(4, 5);
    expect(
      view
        .getSnapshot()
        .messages.map(({ content }) => content)
        .slice(-2),
    ).toEqual(['g 4', 'g 5']);
    expect(client.stats()).toMatchObject({ missedFoundByPoll: 2, live: 0 });
    const { saved } = client.send('g', 'sent while polling');
    expect(await saved).toMatchObject({ seq: 6 });
    server.script.relay = 'up';
    await connected();
    const after = server.count('GET /api/messaging/groups');
    server.publish('g');
    await until('live', () => client.stats().live > 0);
    expect(seqs()).toEqual([4, 5, 6, 7]);
    expect(server.count('GET /api/messaging/groups')).toBe(after);
  });

  test('an API that is away for a moment is asked again, and nothing is shown twice', async () => {
    server.script.apiFailures = [503, 0, 500];
    start();
    await connected();
    server.script.apiFailures = [500, 0];
    const view = client.messages('g');
    view.subscribe(() => undefined);
    const { saved } = client.send('g', 'mine');
    await saved;
    await until('the messages', () => view.getSnapshot().status === 'ready' || (void view.reload(), false));
    await until('mine', () => 'seq' in (view.getSnapshot().messages.at(-1) ?? {}));
    expect(server.groups.get('g')?.events.filter((event) => event['content'] === 'mine')).toHaveLength(1);
    expect(view.getSnapshot().messages.filter(({ content }) => content === 'mine')).toHaveLength(1);
  });

  test('cursors are reported in batches', async () => {
    start();
    await connected();
    for (let n = 0; n < 10; n += 1) server.publish('g');
    client.markRead('g', 2);
    await until('the last report', () =>
      server.heard.some(({ event, payload }) => {
        const { cursors } = payload as { cursors?: Record<string, { applied?: number }> };
        return event === 'update-cursors' && cursors?.['g']?.applied === 13;
      }),
    );
    expect(server.heard.filter(({ event }) => event === 'update-cursors').length).toBeLessThanOrEqual(4);
  });

  test('an own message that a page has before its answer is there is one row', async () => {
    let letGo: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    start({
      async fetch(...request) {
        const response = await fetch(...request);
        if (request[1]?.method === 'POST' && String(request[0]).endsWith('/messages')) await held;
        return response;
      },
    });
    await connected();
    const rows = () =>
      client
        .messages('g')
        .getSnapshot()
        .messages.filter(({ content }) => content === 'mine');
    const { saved, clientMessageId } = client.send('g', 'mine');
    await until('it is saved', () => server.groups.get('g')?.events.length === 4);
    const most: number[] = [];
    client.messages('g').subscribe(() => most.push(rows().length));
    await until('the page', () => client.messages('g').getSnapshot().status === 'ready');
    letGo();
    await saved;
    expect([Math.max(...most), rows().map(({ key }) => key)]).toEqual([1, [clientMessageId]]);
  });

  test('after a sleep the list is read once, however late the loss was noticed', async () => {
    start({ random: () => 0 });
    await connected();
    const before = server.count(LIST);
    const now = Date.now;
    vi.spyOn(Date, 'now').mockImplementation(() => now() + 300_000);
    cut();
    await until('the list', () => server.count(LIST) === before + 1);
    await connected();
    expect(server.count(LIST)).toBe(before + 1);
  });

  test('… also when the clock of the computer was set back an hour', async () => {
    const target = new EventTarget();
    start({ eventTarget: target });
    await connected();
    const [wall, monotonic] = [Date.now.bind(Date), performance.now.bind(performance)];
    vi.spyOn(Date, 'now').mockImplementation(() => wall() - 3_600_000);
    vi.spyOn(performance, 'now').mockImplementation(() => monotonic() + 5_000);
    for (const socket of server.sockets()) socket.removeAllListeners().offAny();
    target.dispatchEvent(new Event('visibilitychange'));
    await until('another connection', () => server.handshakes.length === 2, 10_000);
  });

  test('after a short absence the list is read with the next token, once, and not before', async () => {
    const { clock, runAbove } = hurriedClock();
    server.script.tokenSeconds = 300;
    start({ clock, random: () => 0 });
    await connected();
    const renew = async (): Promise<void> => {
      const told = (): number => server.heard.filter(({ event }) => event === 'refresh-token').length;
      const before = told();
      runAbove(200_000);
      await until('another token', () => told() > before);
    };
    await renew();
    expect(server.count(LIST)).toBe(1);
    cut();
    await until('another connection', () => server.handshakes.length === 2);
    await connected();
    server.publish('g');
    await showing(4);
    expect([server.count(LIST), server.count(TOKEN)]).toEqual([1, 2]);
    await renew();
    await until('the list', () => server.count(LIST) === 2);
    await renew();
    server.publish('g');
    await showing(4, 5);
    expect(server.count(LIST)).toBe(2);
  });

  test('… or before that, where somebody comes back to the page', async () => {
    const target = new EventTarget();
    start({ eventTarget: target, random: () => 0 });
    await connected();
    target.dispatchEvent(new Event('visibilitychange'));
    cut();
    await until('another connection', () => server.handshakes.length === 2);
    await connected();
    expect(server.count(LIST)).toBe(1);
    target.dispatchEvent(new Event('visibilitychange'));
    await until('the list', () => server.count(LIST) === 2);
  });

  test('a user who comes back finds out at once that the connection is dead', async () => {
    const target = new EventTarget();
    start({ eventTarget: target });
    await connected();
    const now = Date.now;
    vi.spyOn(Date, 'now').mockImplementation(() => now() + 10_000);
    // Nothing gets through any more, and nobody says so.
    for (const socket of server.sockets()) socket.removeAllListeners().offAny();
    target.dispatchEvent(new Event('visibilitychange'));
    await until('another connection', () => server.handshakes.length === 2, 10_000);
    await connected();
    // A living one is left alone.
    vi.spyOn(Date, 'now').mockImplementation(() => now() + 20_000);
    target.dispatchEvent(new Event('online'));
    await until('the answer', () => server.heard.filter(({ event }) => event === 'resume').length > 0);
    expect(server.handshakes.length).toBe(2);
  });

  test('a relay that refuses to resume leaves the API to be asked, and the list in peace', async () => {
    start();
    await connected();
    const before = server.count(LIST);
    server.script.refused.set('resume', { code: 'INVALID_PAYLOAD', message: 'never', retryable: false });
    const lost = server.publish('g', { lost: true });
    server.emit('group-head', { groupId: 'g', epoch: lost.epoch, seq: lost.seq });
    await showing(4);
    expect([server.count(EVENTS), server.count(LIST)]).toEqual([1, before]);
  });

  test('many groups that neither token nor handshake name are joined in portions, as fast as the relay lets it', async () => {
    start();
    await connected();
    for (let n = 0; n < 400; n += 1) {
      server.addGroup(`far${n}`, 1);
      server.script.unnamed.add(`far${n}`);
    }
    const slowDown = { code: 'RATE_LIMITED', message: 'slower', retryable: true, retryAfterMs: 20 };
    server.script.refused.set('resume', slowDown);
    await client.groups.refresh();
    await until('a refusal', () => server.heard.some(({ event }) => event === 'resume'));
    server.script.refused.clear();
    const live = () => server.sockets()[0]?.rooms.size ?? 0;
    await until('every group', () => live() >= 401);
    const questions = server.heard.filter(({ event }) => event === 'resume' || event === 'join-group');
    expect(questions.length).toBeLessThan(20);
  });

  test('a relay that is slow to greet is not asked for every group one by one', async () => {
    for (let n = 0; n < 60; n += 1) server.addGroup(`s${n}`, 1);
    const { clock, run } = hurriedClock();
    start({ clock });
    await connected();
    server.script.greets = false;
    cut();
    await until('another connection', () => server.handshakes.length === 2 && state() !== 'waiting');
    // The time in which it should have greeted is over.
    run(5_000);
    await connected();
    server.publish('g');
    await showing(4);
    expect(server.heard.filter(({ event }) => event === 'join-group' || event === 'resume')).toEqual([]);
  });

  test('being taken out of a group is no reason to read the list', async () => {
    start({ random: () => 0 });
    await connected();
    server.addGroup('other', 1);
    server.emit('left-groups', { groups: ['g'], reason: 'member-removed' });
    await until('the group is gone', () => client.group('g').getSnapshot() === undefined);
    expect(server.count(LIST)).toBe(1);
    // A group nobody has described is one.
    server.emit('joined-groups', { groups: [{ groupId: 'other', position: { epoch: '1-a', seq: 1 } }] });
    await until('the list', () => server.count(LIST) === 2);
  });

  test('a group that makes room for others in the connection is not joined again, and is read from the API now and then', async () => {
    const { clock, run } = hurriedClock();
    start({ clock, random: () => 0 });
    await connected();
    void server.sockets()[0]?.leave('g');
    const asked = () => server.heard.filter(({ event }) => event === 'join-group' || event === 'resume').length;
    server.emit('left-groups', { groups: ['g'], reason: 'group-limit' });
    await until('the list to be read', () => server.count(LIST) === 2);
    expect(asked()).toBe(0);
    server.script.refused.set('resume', { code: 'INVALID_PAYLOAD', message: 'not here', retryable: false });
    for (const seen of [[4], [4, 5]]) {
      server.publish('g', { lost: true });
      run(60_000);
      await showing(...seen);
    }
    expect(client.group('g').getSnapshot()).toBeDefined();
  });

  test('closed, it leaves nothing: no timer, no connection, no listener', async () => {
    const { clock, timers } = countingClock();
    const heard = { added: 0, removed: 0 };
    const eventTarget = new EventTarget();
    const { addEventListener, removeEventListener } = eventTarget;
    eventTarget.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      heard.added += 1;
      addEventListener.apply(eventTarget, args);
    };
    eventTarget.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      heard.removed += 1;
      removeEventListener.apply(eventTarget, args);
    };
    start({ clock, eventTarget, cursorIntervalMs: 60_000 });
    await connected();
    for (let round = 0; round < 10_000; round += 1) {
      const stops = [
        client.connection.subscribe(() => undefined),
        client.groups.subscribe(() => undefined),
        client.unread.subscribe(() => undefined),
        client.group('g').subscribe(() => undefined),
        client.group(`other-${round}`).onEvent(() => undefined),
        client.messages('g').subscribe(() => undefined),
        client.on('event', () => undefined),
      ];
      for (const stop of stops) stop();
    }
    expect(server.count('GET /api/messaging/groups/g/messages')).toBeLessThanOrEqual(1);
    server.publish('g');
    await showing(4);
    cut();
    server.publish('g', { lost: true });
    const waiting = client.send('g', 'never').saved;
    client.close();
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED' });
    await until('no connection', () => server.sockets().length === 0);
    expect([state(), reason(), heard.added - heard.removed]).toEqual(['ended', 'CLOSED', 0]);
    await until('no timers', () => timers.size === 0);
    expect(() => client.connect()).toThrow('closed');
    expect(log.lines).toEqual([]);
  });

  test('closed in the middle of everything, it leaves nothing either', async () => {
    const { clock, timers } = countingClock();
    server.script.recovers = false;
    start({ clock, random: () => 1, cursorIntervalMs: 60_000 });
    await connected();
    server.script.apiFailures = Array.from({ length: 50 }, () => 503);
    server.publish('g', { lost: true });
    server.publish('g');
    const waiting = client.send('g', 'never').saved;
    await Promise.all([
      client.groups.refresh(),
      until('a question', () => server.count(EVENTS) > 0),
      until('an attempt', () => server.count('POST /api/messaging/groups/g/messages') > 0),
    ]);
    server.script.apiFailures = [-1];
    const before = server.requests.length;
    client.messages('g').subscribe(() => undefined);
    await until('a question without an answer', () => server.requests.length > before);
    client.close();
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED' });
    await until('no timers', () => timers.size === 0, 300);
    await until('no connection', () => server.sockets().length === 0);
  });

  describe('and a browser that says what it knows of the network', () => {
    const browser = new EventTarget();
    const say = (name: string): boolean => browser.dispatchEvent(new Event(name));

    test('an open connection that does not answer is lost as soon as the browser is offline, and back when it is online (G54)', async () => {
      const cable = await startTcpProxy(Number(new URL(server.url).port));
      try {
        // Nothing but the browser’s word would end a wait, or a heartbeat of 45 s.
        start({
          eventTarget: browser,
          relayUrl: `http://127.0.0.1:${cable.port}`,
          reconnectMinMs: 60_000,
          reconnectMaxMs: 60_000,
        });
        await connected();
        cable.freeze();
        say('offline');
        await until('the loss', () => state() === 'waiting');
        expect(client.connection.getSnapshot().reason).toMatchObject({
          code: 'UNREACHABLE',
          message: expect.stringContaining('offline'),
        });
        server.publish('g');
        cable.thaw();
        say('online');
        await connected();
        await showing(4);
      } finally {
        await cable.close();
      }
    });

    test('a connection that works without the browser’s network, as one to the same machine does, stays', async () => {
      start({ eventTarget: browser });
      await connected();
      say('offline');
      await until('the question', () => server.heard.some(({ event }) => event === 'resume'));
      server.publish('g');
      await showing(4);
      expect([state(), server.handshakes.length]).toEqual(['connected', 1]);
    });

    test('polling that stands in for a connection is over with the network', async () => {
      server.script.relay = 'refuses';
      start({ eventTarget: browser, pollAfterMs: 50, pollIntervalMs: 600_000 });
      await until('polling', () => state() === 'degraded-polling');
      say('offline');
      expect(state()).toBe('waiting');
    });

    test('an attempt that hangs, at the relay or at the API, is begun anew when the browser is online (G54)', async () => {
      server.script.relay = 'swallows websockets';
      let attempts = 0;
      const io = ((...to: Parameters<typeof socketIo>) => {
        attempts += 1;
        return socketIo(...to);
      }) as typeof socketIo;
      start({ eventTarget: browser, transports: ['websocket'], connectTimeoutMs: 60_000, io });
      await until('the attempt', () => attempts === 1);
      server.script.relay = 'up';
      say('online');
      await connected();
      client.close();

      server.script.apiFailures = [-1, -1];
      start({ eventTarget: browser });
      await until('two questions', () => server.script.apiFailures.length === 0);
      say('offline');
      say('online');
      await connected();
    });
  });
});
