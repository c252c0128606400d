import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type {
  GroupEvent,
  HistoryFillAnswer,
  HistoryFillQuery,
  JoinGroupResult,
  Position,
  ResumeResult,
} from '@groupcast/shared';
import { received, tokenFor, tokenWith, until } from '@groupcast/testing';
import type { Socket } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ask, type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const at = (seq: number, epoch = '1-a'): Position => ({ epoch, seq });
const seqs = (events: readonly { seq: number }[]): number[] => events.map(({ seq }) => seq);

describe('recovery from the relay’s log', () => {
  let relay: RelayUnderTest;
  beforeEach(async () => {
    relay = await startRelayUnderTest({ HISTORY_SIZE: '1000' });
  });
  afterEach(async () => {
    await relay.close();
  });

  async function publish(from: number, to: number, extra: object = {}, groupId = 'g', text = ''): Promise<void> {
    for (let seq = from; seq <= to; seq += 1) {
      await relay.broadcaster.broadcastMessage({
        groupId,
        id: `m${seq}`,
        ...at(seq),
        message: { n: seq, text },
        ...extra,
      });
    }
  }
  /** A connection that returns with positions, and everything it hears, in order. */
  async function comeBack(positions: Record<string, Position>, groups = ['g'], userId = 'alice') {
    const socket = relay.client({ token: await tokenFor(userId, groups), positions });
    const heard: [string, unknown][] = [];
    socket.onAny((event: string, payload: unknown) => heard.push([event, payload]));
    const { groups: answers } = await received<ResumeResult>(socket, 'resumed');
    return { socket, heard, answers };
  }

  test('a client that returns with its position gets exactly what it missed, before any live event (G17)', async () => {
    await publish(1, 7);
    const { answers, heard } = await comeBack({ g: at(3) });
    expect(answers['g']).toMatchObject({ recovered: true, position: at(7), more: false });
    expect((answers['g'] as JoinGroupResult).events).toEqual(
      [4, 5, 6, 7].map((n) => ({ event: 'new-message', id: `m${n}`, groupId: 'g', ...at(n), n, text: '' })),
    );
    await publish(8, 8);
    await until('the live event', () => heard.some(([event]) => event === 'new-message'));
    expect(heard.map(([event]) => event)).toEqual(['joined-groups', 'resumed', 'new-message']);
    expect(heard[2]?.[1]).toMatchObject(at(8));
  });

  test('a client that is up to date gets nothing, and is recovered', async () => {
    await publish(1, 3);
    const { answers } = await comeBack({ g: at(3) });
    expect(answers['g']).toEqual({ recovered: true, position: at(3), events: [], more: false });
  });

  test('never a part: another epoch, a place ahead of the log, or one below its floor is not recovered (G17)', async () => {
    await publish(5, 9);
    const head = { recovered: false, position: at(9), events: [], more: false };
    expect((await comeBack({ g: at(7, '1-b') })).answers['g']).toEqual(head);
    expect((await comeBack({ g: at(10) })).answers['g']).toEqual(head);
    expect((await comeBack({ g: at(3) })).answers['g']).toEqual(head);
    expect((await comeBack({ g: at(4) })).answers['g']).toMatchObject({ recovered: true });
  });

  test('a group that the relay does not know has no position, and none is invented', async () => {
    const { answers } = await comeBack({ g: at(3) });
    expect(answers['g']).toEqual({ recovered: false, position: null, events: [], more: false });
  });

  test('a group that is not the user’s has its error, beside the others', async () => {
    await publish(1, 2);
    const { answers, heard } = await comeBack({ g: at(1), foreign: at(1) });
    expect(answers).toMatchObject({ g: { recovered: true } });
    const others = await until('the answer for the other', () => heard.filter(([event]) => event === 'resumed')[1]);
    expect(others[1]).toMatchObject({ groups: { foreign: { error: { code: 'NOT_A_MEMBER' } } } });
  });

  test('one answer holds at most 500 events; the group is live only after the last of them', async () => {
    await publish(1, 700);
    const { answers, socket, heard } = await comeBack({ g: at(0) });
    const first = answers['g'] as JoinGroupResult;
    expect([first.events.length, first.position, first.more]).toEqual([500, at(500), true]);
    await publish(701, 702);
    const second = (await ask<JoinGroupResult>(socket, 'join-group', {
      groupId: 'g',
      position: first.position,
    })) as JoinGroupResult;
    expect([seqs(second.events)[0], second.events.length, second.position, second.more]).toEqual([
      501,
      202,
      at(702),
      false,
    ]);
    await publish(703, 703);
    await until('the live event', () => heard.some(([event]) => event === 'new-message'));
    expect(heard.filter(([event]) => event === 'new-message').map(([, event]) => (event as GroupEvent).seq)).toEqual([
      703,
    ]);
  });

  test('… and at most 256 KiB, over all groups; the rest is asked for again', async () => {
    await publish(1, 4, {}, 'g', 'x'.repeat(60_000));
    await publish(1, 4, {}, 'h', 'x'.repeat(60_000));
    const { socket, answers } = await comeBack({ g: at(0), h: at(0) }, ['g', 'h']);
    expect(JSON.stringify(answers).length).toBeLessThan(256 * 1_024);
    const seen: Record<string, number[]> = { g: [], h: [] };
    let open: Record<string, Position> = {};
    const take = (groups: ResumeResult['groups']): void => {
      open = {};
      for (const [groupId, answer] of Object.entries(groups)) {
        const { events, position, more } = answer as JoinGroupResult;
        seen[groupId]?.push(...seqs(events));
        if (more && position) open[groupId] = position;
      }
    };
    take(answers);
    while (Object.keys(open).length > 0) {
      take(((await ask<ResumeResult>(socket, 'resume', { positions: open })) as ResumeResult).groups);
    }
    expect(seen).toEqual({ g: [1, 2, 3, 4], h: [1, 2, 3, 4] });
  });

  test('an event that left the user out is not recovered, and the position goes past it', async () => {
    await publish(1, 1);
    await publish(2, 2, { exceptUserId: 'alice' });
    await publish(3, 3);
    await publish(4, 4, { exceptUserId: 'alice' });
    const { answers } = await comeBack({ g: at(0) });
    const answer = answers['g'] as JoinGroupResult;
    expect([seqs(answer.events), answer.position]).toEqual([[1, 3], at(4)]);
    expect(seqs(((await comeBack({ g: at(0) }, ['g'], 'bob')).answers['g'] as JoinGroupResult).events)).toEqual([
      1, 2, 3, 4,
    ]);
  });

  test('an excluded member is told to step over the event', async () => {
    const alice = await relay.member('alice', ['g']);
    const head = received(alice, 'group-head');
    await publish(1, 1, { exceptUserId: 'alice' });
    expect(await head).toEqual({ groupId: 'g', ...at(1), skipId: 'm1' });
  });

  test('when a group falls quiet, its members are told where it stands', async () => {
    const alice = await relay.member('alice', ['g']);
    const heads: unknown[] = [];
    alice.on('group-head', (head) => heads.push(head));
    await publish(1, 3);
    await until('the head', () => heads.length > 0);
    expect(heads).toEqual([{ groupId: 'g', ...at(3) }]);
  });

  test('while events stream in, clients that come and go miss nothing and get nothing twice (G17)', async () => {
    let publishing = true;
    let seq = 0;
    const stream = (async () => {
      while (publishing) {
        // Bursts of concurrent calls, so that joins fall between an append and its delivery.
        const burst = Array.from({ length: 5 }, (_, index) => seq + index + 1);
        seq += burst.length;
        await Promise.all(burst.map(async (n) => publish(n, n)));
      }
    })();
    await until('the first events', () => seq > 10);

    async function wander(userId: string): Promise<number[]> {
      const shown: number[] = [];
      let position = at(0);
      const token = await tokenFor(userId, ['g']);
      for (let visit = 0; visit < 12; visit += 1) {
        const socket: Socket = relay.client({ token, positions: { g: position } });
        let live = false;
        // They are read in the turn in which they arrive: a live event may follow in the next one.
        const apply = ({ groups }: ResumeResult): void => {
          const answer = groups['g'] as JoinGroupResult;
          expect([answer.recovered, live]).toEqual([true, false]);
          shown.push(...seqs(answer.events));
          position = answer.position ?? position;
          live = !answer.more;
          if (!live) socket.emit('resume', { positions: { g: position } }, apply);
        };
        socket.on('resumed', apply);
        socket.on('new-message', (event: GroupEvent) => {
          expect(live).toBe(true);
          shown.push(event.seq);
          position = at(event.seq);
        });
        await until('to be live', () => live);
        const until3 = shown.length + 3;
        await until('three live events', () => shown.length >= until3);
        socket.close();
      }
      return shown;
    }
    const results = await Promise.all(['a', 'b', 'c', 'd'].map(wander));
    publishing = false;
    await stream;
    for (const shown of results) expect(shown).toEqual(Array.from({ length: shown.length }, (_, index) => index + 1));
  });
});

describe('a relay with an empty log', () => {
  let api: Server;
  let relay: RelayUnderTest;
  let fills: HistoryFillQuery[];
  let cursors: unknown[];
  let history: Map<string, { position: Position; events: GroupEvent[] }>;
  let failing: boolean;
  /** While true, fills are not answered until `release` is called. */
  let hanging: boolean;
  let released: Promise<void>;
  let release: () => void;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as unknown;
    if (request.url === '/internal/memberships') {
      response.end(JSON.stringify(body));
      return;
    }
    if (request.url === '/internal/cursors') {
      cursors.push(body);
      response.end('{}');
      return;
    }
    if (request.url === '/internal/presence') {
      response.end('{}');
      return;
    }
    const query = body as HistoryFillQuery;
    fills.push(query);
    if (hanging) await released;
    const groups: HistoryFillAnswer['groups'] = query.groups.map((groupId) => ({
      groupId,
      ...(history.get(groupId) ?? { position: null, events: [] }),
    }));
    response.writeHead(failing ? 500 : 200).end(JSON.stringify({ groups }));
  }

  beforeEach(async () => {
    fills = [];
    cursors = [];
    failing = false;
    hanging = false;
    released = new Promise((resolve) => {
      release = resolve;
    });
    history = new Map();
    api = createServer((request, response) => void answer(request, response));
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    relay = await startRelayUnderTest({ API_URL: `http://127.0.0.1:${(api.address() as AddressInfo).port}` });
    const events = Array.from({ length: 6 }, (_, index) => ({
      event: 'new-message',
      id: `m${index + 5}`,
      groupId: 'g',
      ...at(index + 5),
    }));
    history.set('g', { position: at(10), events });
  });
  afterEach(async () => {
    await relay.close();
    api.closeAllConnections();
    await new Promise((resolve) => api.close(resolve));
  });

  const now = (): number => Math.floor(Date.now() / 1_000);
  async function comeBack(
    userId: string,
    positions: Record<string, Position>,
    groups = ['g', 'h'],
  ): Promise<ResumeResult['groups']> {
    // From before this relay started, as after a restart: confirmed with the API as well.
    const token = await tokenWith({ sub: userId, groups, iat: now() - 60, exp: now() + 600 });
    const socket = relay.client({ token, positions });
    return (await received<ResumeResult>(socket, 'resumed')).groups;
  }

  test('fills it from the API once, however many clients come back (G18)', async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, async (_, n) => comeBack(`u${n}`, { g: at(7) })));
    for (const groups of answers) {
      expect(groups['g']).toMatchObject({ recovered: true, position: at(10), more: false });
      expect(seqs((groups['g'] as JoinGroupResult).events)).toEqual([8, 9, 10]);
    }
    expect(fills).toEqual([{ groups: ['g'], limit: 1_000 }]);
    expect((await comeBack('late', { g: at(9) }))['g']).toMatchObject({ recovered: true });
    expect((await comeBack('older', { g: at(2) }))['g']).toMatchObject({ recovered: false, position: at(10) });
    expect(fills).toHaveLength(1);
  });

  test('that has begun with a live event is filled below it', async () => {
    await relay.broadcaster.broadcastMessage({ groupId: 'g', id: 'm11', ...at(11), message: {} });
    const { g } = await comeBack('alice', { g: at(7) });
    expect(g).toMatchObject({ recovered: true, position: at(11) });
    expect(seqs((g as JoinGroupResult).events)).toEqual([8, 9, 10, 11]);
  });

  test('takes the dispatcher’s next event as new after it was filled', async () => {
    await comeBack('alice', { g: at(10) });
    const bob = await relay.member('bob', ['g']);
    const heard = received(bob, 'new-message');
    const result = await relay.broadcaster.broadcastMessage({ groupId: 'g', id: 'm11', ...at(11), message: {} });
    expect(result).toMatchObject({ duplicate: false, recipients: { connections: 2 } });
    expect(await heard).toMatchObject(at(11));
  });

  test('misses nothing that comes by while another group is being filled', async () => {
    const publish = async (seq: number): Promise<void> => {
      await relay.broadcaster.broadcastMessage({ groupId: 'a', id: `a${seq}`, ...at(seq), message: {} });
    };
    for (const seq of [4, 5]) await publish(seq);
    hanging = true;
    const returning = comeBack('alice', { a: at(5), g: at(7) }, ['a', 'g']);
    await until('the fill to be asked for', () => fills.length === 1);
    // Nobody on this node is in the group at this moment.
    await publish(6);
    release();
    const answers = await returning;
    expect(answers['g']).toMatchObject({ recovered: true, position: at(10) });
    expect(answers['a']).toMatchObject({ recovered: true, position: at(6), more: false });
  });

  test('does not keep healthy groups waiting for those that cannot be filled', async () => {
    await relay.broadcaster.broadcastMessage({ groupId: 'a', id: 'a1', ...at(1), message: {} });
    hanging = true;
    const lost = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`lost${n}`, at(1)]));
    const answers = await comeBack('alice', { a: at(0), ...lost }, ['a', ...Object.keys(lost)]);
    expect(answers['a']).toMatchObject({ recovered: true, position: at(1) });
    expect(answers['lost7']).toEqual({ recovered: false, position: null, events: [], more: false });
    expect(fills.length).toBeLessThanOrEqual(3);
    release();
  });

  test('whose API fails says so by recovering nothing, and asks again later', async () => {
    failing = true;
    expect((await comeBack('alice', { g: at(7) }))['g']).toEqual({
      recovered: false,
      position: null,
      events: [],
      more: false,
    });
    failing = false;
    await until(
      'the next fill',
      async () => ((await comeBack('alice', { g: at(7) }))['g'] as JoinGroupResult).recovered,
    );
  });

  test('keeps what members report of their cursors for the API, merged', async () => {
    const alice = await relay.member('alice', ['g']);
    // They leave together, so that no report goes to the API between them.
    const answers = await Promise.all([
      ask(alice, 'update-cursors', { cursors: { g: { received: 3, applied: 2 } } }),
      ask(alice, 'mark-delivered', { groupId: 'g', seq: 5 }),
      ask(alice, 'mark-read', { groupId: 'g', seq: 4 }),
      ask(alice, 'update-cursors', { cursors: { other: { read: 1 } } }),
      ask(alice, 'update-cursors', { cursors: { g: { read: -1 } } }),
    ]);
    expect(answers).toEqual([{ ok: true }, { ok: true }, { ok: true }, 'NOT_A_MEMBER', 'INVALID_PAYLOAD']);
    await until('the report', () => cursors.length > 0);
    expect(cursors).toEqual([{ cursors: [{ userId: 'alice', groupId: 'g', received: 5, applied: 2, read: 4 }] }]);
  });
});
