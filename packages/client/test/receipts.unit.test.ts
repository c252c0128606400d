import type { GroupEvent, ReceiptCounts } from '@groupcast/shared';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Reach, ReceiptsPage } from '../src/api/answers.ts';
import { createGroupReceipts } from '../src/conversation/group-receipts.ts';
import { createReceipts } from '../src/conversation/receipts.ts';
import { ClientError } from '../src/errors.ts';
import { manualClock, memoryLogger, turns } from './manual-clock.ts';

const event = (name: string, seq: number, fields: object): GroupEvent => ({
  event: name,
  id: `e${seq}`,
  groupId: 'g',
  epoch: '1-a',
  seq,
  ...fields,
});
const pageOf = (users: Record<string, [number, number]>, seq = 10): ReceiptsPage => ({
  memberCount: Object.keys(users).length,
  position: { epoch: '1-a', seq },
  users: new Map(Object.entries(users).map(([id, [received, read]]) => [id, { received, read }])),
  counts: null,
});
const largePage = (counts: ReceiptCounts | null, memberCount = 201): ReceiptsPage => ({
  memberCount,
  position: { epoch: '1-a', seq: 10 },
  users: null,
  counts,
});
const at = (seq: number) => ({ epoch: '1-a', seq });
const receipt = (users: Record<string, Partial<Reach>>): object => ({ groupId: 'g', users });

function ofGroup() {
  const reach = { received: 0, read: 0 };
  return createGroupReceipts(() => 'me', reach);
}

describe('the receipts of a group', () => {
  test('say how far everybody else is, by the one who is least far', () => {
    const receipts = ofGroup();
    receipts.takePage(pageOf({ me: [0, 0], bob: [9, 4], carol: [7, 6] }), []);
    expect(receipts.reach).toEqual({ received: 7, read: 4 });
    expect(receipts.takeReceipt(receipt({ bob: { read: 8 }, carol: { received: 9 } }))).toBe(true);
    expect(receipts.reach).toEqual({ received: 9, read: 6 });
    expect(receipts.users()).toEqual(
      new Map([
        ['bob', { received: 9, read: 8 }],
        ['carol', { received: 9, read: 6 }],
      ]),
    );
  });

  test('a member who has read has received, and one who writes has read', () => {
    const receipts = ofGroup();
    receipts.takePage(pageOf({ me: [0, 0], bob: [0, 0] }), []);
    receipts.takeReceipt(receipt({ bob: { read: 3 } }));
    expect(receipts.reach).toEqual({ received: 3, read: 3 });
    receipts.takeEvent(event('new-message', 11, { senderId: 'bob' }));
    expect(receipts.reach).toEqual({ received: 11, read: 11 });
  });

  test('nothing that is known already is news, nor are one’s own cursors and those of strangers in a large group', () => {
    const receipts = ofGroup();
    receipts.takePage(pageOf({ me: [0, 0], bob: [5, 5] }), []);
    expect(receipts.takeReceipt(receipt({ bob: { received: 4 }, me: { read: 9 } }))).toBe(false);
    expect(receipts.takeReceipt('nonsense')).toBe(false);
    expect(receipts.takeReceipt({ groupId: 'g', users: { bob: { read: -1 }, ['x y']: { read: 7 } } })).toBe(false);
    const large = ofGroup();
    large.takePage(largePage(null), []);
    expect(large.takeEvent(event('new-message', 11, { senderId: 'bob' }))).toBe(false);
  });

  test('a new member does not take back what all the others had read; one who leaves is not waited for', () => {
    const receipts = ofGroup();
    receipts.takePage(pageOf({ me: [0, 0], bob: [9, 9], carol: [2, 2] }), []);
    receipts.takeEvent(event('member-removed', 11, { userIds: ['carol'] }));
    expect(receipts.reach).toEqual({ received: 9, read: 9 });
    receipts.takeEvent(event('member-added', 12, { userIds: ['dora'] }));
    expect([receipts.reach, receipts.memberCount]).toEqual([{ received: 9, read: 9 }, 3]);
    receipts.takeReceipt(receipt({ bob: { read: 13 } }));
    expect(receipts.reach.read).toBe(9);
    receipts.takeReceipt(receipt({ dora: { read: 13 } }));
    expect(receipts.reach.read).toBe(13);
  });

  test('a cursor of a user who is not a member does not stick when the user is added again', () => {
    const receipts = ofGroup();
    receipts.takePage(pageOf({ me: [0, 0], bob: [3, 3] }), []);
    receipts.takeEvent(event('member-removed', 11, { userIds: ['bob'] }));
    expect(receipts.takeReceipt(receipt({ bob: { read: 9 } }))).toBe(false);
    receipts.takeEvent(event('member-added', 12, { userIds: ['bob'] }));
    expect([receipts.users(), receipts.reach]).toEqual([
      new Map([['bob', { received: 0, read: 0 }]]),
      { received: 3, read: 3 },
    ]);
    expect(receipts.isOutdated).toBe(true);
  });

  test('a page is right about all that was heard before it was asked for, and not about what came since', () => {
    const receipts = ofGroup();
    receipts.takePage(pageOf({ me: [0, 0], bob: [3, 3], carol: [3, 3] }), []);
    receipts.takeReceipt(receipt({ bob: { read: 9 }, carol: { read: 4 } }));
    receipts.asked();
    receipts.takeReceipt(receipt({ carol: { read: 5 } }));
    receipts.takePage(pageOf({ me: [0, 0], bob: [6, 6], carol: [4, 4] }), []);
    expect(receipts.users()).toEqual(
      new Map([
        ['bob', { received: 6, read: 6 }],
        ['carol', { received: 5, read: 5 }],
      ]),
    );
  });

  test('an addition or a removal that came while the page was on its way is not lost, and none counts twice', () => {
    const receipts = ofGroup();
    const passed = [
      event('member-removed', 9, { userIds: ['dora'] }),
      event('member-removed', 11, { userIds: ['carol'] }),
      event('member-added', 12, { userIds: ['erin'] }),
    ];
    receipts.takePage(pageOf({ me: [0, 0], bob: [1, 1], carol: [1, 1], dora: [2, 2] }), passed);
    expect([Array.from(receipts.users()?.keys() ?? []), receipts.memberCount]).toEqual([['bob', 'dora', 'erin'], 4]);
  });

  test('in a larger group everybody is a number, that of one’s own newest message', () => {
    const receipts = ofGroup();
    receipts.takePage(largePage({ seq: 7, received: 200, read: 30 }), []);
    expect([receipts.users(), receipts.reach]).toEqual([null, { received: 7, read: 0 }]);
    expect(receipts.takeReceipt({ groupId: 'g', counts: { seq: 9, received: 100, read: 0 } })).toBe(true);
    expect(receipts.takeReceipt({ groupId: 'g', counts: { seq: 7, received: 200, read: 200 } })).toBe(false);
    expect([receipts.counts, receipts.reach]).toEqual([
      { seq: 9, received: 100, read: 0 },
      { received: 7, read: 0 },
    ]);
    receipts.takeReceipt({ groupId: 'g', counts: { seq: 9, received: 180, read: 200 } });
    expect(receipts.reach).toEqual({ received: 9, read: 9 });
  });

  test('in a larger group one who had read and is gone is not taken for one who has not', () => {
    const receipts = ofGroup();
    receipts.takePage(largePage({ seq: 7, received: 101, read: 100 }, 102), []);
    receipts.takeEvent(event('member-removed', 11, { userIds: ['x'] }));
    expect([receipts.reach.read, receipts.memberCount, receipts.isOutdated]).toEqual([0, 101, true]);
    // These numbers were on their way.
    receipts.takeReceipt({ groupId: 'g', counts: { seq: 7, received: 101, read: 100 }, memberCount: 102 });
    receipts.takeEvent(event('member-added', 12, { userIds: ['y'] }));
    expect(receipts.reach.read).toBe(0);
    receipts.takePage({ ...largePage({ seq: 7, received: 100, read: 99 }, 102), position: at(12) }, []);
    expect([receipts.reach.read, receipts.counts, receipts.isOutdated]).toEqual([
      0,
      { seq: 7, received: 100, read: 99 },
      false,
    ]);
    receipts.takeReceipt({ groupId: 'g', counts: { seq: 7, received: 100, read: 100 }, memberCount: 102 });
    expect(receipts.reach.read).toBe(0);
    expect(receipts.takeReceipt({ groupId: 'g', counts: { seq: 7, received: 100, read: 100 }, memberCount: 101 })).toBe(
      true,
    );
    expect(receipts.reach.read).toBe(7);
  });

  test('numbers of a relay that does not say among how many may count those who are gone', () => {
    const receipts = ofGroup();
    receipts.takePage(largePage({ seq: 7, received: 101, read: 99 }, 102), []);
    receipts.takeEvent(event('member-removed', 11, { userIds: ['x'] }));
    receipts.takeReceipt({ groupId: 'g', counts: { seq: 7, received: 101, read: 100 } });
    expect([receipts.reach.read, receipts.isOutdated]).toEqual([0, true]);
  });

  test('alone, nobody has read anything', () => {
    const receipts = ofGroup();
    receipts.takePage(pageOf({ me: [9, 9] }), []);
    expect(receipts.reach).toEqual({ received: 0, read: 0 });
  });

  test('in whatever order pages and events come, the status of one’s own messages never goes back (G71)', () => {
    const users = ['bob', 'carol', 'dora'];
    const userId = fc.constantFrom(...users);
    const cursor = fc.record({ received: fc.nat(30), read: fc.nat(30) }, { requiredKeys: [] });
    const step = fc.oneof(
      fc.record({ do: fc.constant('receipt' as const), users: fc.dictionary(userId, cursor, { maxKeys: 3 }) }),
      fc.record({ do: fc.constant('page' as const), users: fc.subarray(users), delay: fc.nat(5) }),
      fc.record({ do: fc.constant('add' as const), userId }),
      fc.record({ do: fc.constant('remove' as const), userId }),
      fc.record({ do: fc.constant('say' as const), userId }),
      fc.record({ do: fc.constant('count' as const), seq: fc.nat(30), received: fc.nat(4), read: fc.nat(4) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const receipts = ofGroup();
        let before = { received: 0, read: 0 };
        for (const [index, next] of steps.entries()) {
          const seq = 31 + index;
          if (next.do === 'receipt') receipts.takeReceipt(receipt(next.users));
          else if (next.do === 'page')
            receipts.takePage(pageOf(Object.fromEntries(['me', ...next.users].map((id) => [id, [0, 0]])), seq), []);
          else if (next.do === 'count') receipts.takeReceipt({ groupId: 'g', counts: next });
          else if (next.do === 'say') receipts.takeEvent(event('new-message', seq, { senderId: next.userId }));
          else
            receipts.takeEvent(
              event(next.do === 'add' ? 'member-added' : 'member-removed', seq, { userIds: [next.userId] }),
            );
          const now = { ...receipts.reach };
          expect([now.received >= before.received, now.read >= before.read, now.received >= now.read]).toEqual([
            true,
            true,
            true,
          ]);
          before = now;
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('receipts in any order come to the same', () => {
    const told = fc.array(
      fc.record({ userId: fc.constantFrom('bob', 'carol'), received: fc.nat(50), read: fc.nat(50) }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(told, fc.nat(), (list, seed) => {
        const shuffled = list.toSorted((a, b) => ((a.received * 31 + seed) % 17) - ((b.received * 31 + seed) % 17));
        const ends = [list, shuffled].map((order) => {
          const receipts = ofGroup();
          receipts.takePage(pageOf({ me: [0, 0], bob: [0, 0], carol: [0, 0] }), []);
          for (const { userId, ...cursor } of order) receipts.takeReceipt(receipt({ [userId]: cursor }));
          return [receipts.users(), receipts.reach];
        });
        expect(ends[0]).toEqual(ends[1]);
      }),
    );
  });
});

function setUp() {
  const clock = manualClock();
  const questions: { groupId: string; answer: (page: ReceiptsPage | ClientError) => Promise<void> }[] = [];
  const shown = new Set<string>();
  const moved: string[] = [];
  const reaches = new Map<string, Reach>();
  const receipts = createReceipts({
    api: {
      receipts: async (groupId) =>
        new Promise<ReceiptsPage>((resolve, reject) => {
          questions.push({
            groupId: String(groupId),
            async answer(page) {
              if (page instanceof ClientError) reject(page);
              else resolve(page);
              await turns();
            },
          });
        }),
    },
    me: () => 'me',
    reaches,
    isShown: (groupId) => shown.has(groupId),
    onReach: (groupId) => moved.push(groupId),
    clock,
    random: () => 0.5,
    log: memoryLogger(),
    onListenerError: (error) => {
      throw error;
    },
  });
  return { clock, questions, shown, moved, reaches, receipts };
}
const both = pageOf({ me: [0, 0], bob: [3, 3] });

describe('the receipts of all groups', () => {
  test('are read when somebody looks, once for everybody, and kept by events', async () => {
    const { receipts, questions, moved } = setUp();
    const handle = receipts.handleOf(1);
    expect(handle.getSnapshot().status).toBe('idle');
    handle.subscribe(() => undefined);
    receipts.handleOf('1').subscribe(() => undefined);
    receipts.want('1');
    expect([handle.getSnapshot().status, questions.map(({ groupId }) => groupId)]).toEqual(['loading', ['1']]);
    await questions[0]?.answer(both);
    expect(handle.getSnapshot()).toMatchObject({ status: 'ready', memberCount: 2, reach: { received: 3, read: 3 } });
    receipts.onReceipt({ groupId: 1, users: { bob: { read: 5 } } });
    expect([handle.readBy({ seq: 5, senderId: 'me' }), handle.readBy({ seq: 6, senderId: 'me' })]).toEqual([
      ['bob'],
      [],
    ]);
    expect(handle.receivedBy({ seq: 5, senderId: 'bob' })).toEqual([]);
    expect(moved).toEqual(['1', '1']);
    const before = handle.getSnapshot();
    receipts.onReceipt({ groupId: 1, users: { bob: { read: 5 } } });
    receipts.onReceipt({ groupId: 'other', users: { bob: { read: 5 } } });
    expect(handle.getSnapshot()).toBe(before);
  });

  test('a receipt that comes while the page is on its way is not lost', async () => {
    const { receipts, questions, reaches } = setUp();
    receipts.handleOf('g').subscribe(() => undefined);
    receipts.onReceipt(receipt({ bob: { read: 8 } }));
    await questions[0]?.answer(both);
    expect(reaches.get('g')).toEqual({ received: 8, read: 8 });
  });

  test('are read again on another connection and when members change, but only where somebody looks', async () => {
    const { receipts, questions, shown, clock } = setUp();
    const stop = receipts.handleOf('g').subscribe(() => undefined);
    await questions[0]?.answer(both);
    receipts.reconnected();
    receipts.onEvent(event('member-added', 11, { userIds: ['carol'] }));
    await clock.advance(2_000);
    await questions[1]?.answer(both);
    expect(questions.length).toBe(2);
    stop();
    receipts.reconnected();
    await clock.advance(10_000);
    expect([questions.length, clock.timers]).toEqual([2, 0]);
    shown.add('g');
    receipts.reconnected();
    await clock.advance(2_000);
    await questions[2]?.answer(both);
    receipts.want('g');
    expect(questions.length).toBe(3);
  });

  test('in a larger group members who come and go make nobody read again, and a reconnect takes its time', async () => {
    const { receipts, questions, clock } = setUp();
    const handle = receipts.handleOf('g');
    handle.subscribe(() => undefined);
    await questions[0]?.answer(largePage(null, 50_000));
    receipts.onEvent(event('member-added', 11, { userIds: ['x', 'y'] }));
    await clock.advance(600_000);
    expect([questions.length, handle.getSnapshot().memberCount]).toEqual([1, 50_002]);
    receipts.reconnected();
    await clock.advance(50_001);
    expect(questions.length).toBe(1);
    await clock.advance(2);
    expect(questions.length).toBe(2);
  });

  test('in a larger group they are read again where one who is gone may be the last who had not read', async () => {
    const { receipts, questions, clock } = setUp();
    const handle = receipts.handleOf('g');
    handle.subscribe(() => undefined);
    await questions[0]?.answer(largePage({ seq: 7, received: 200, read: 198 }, 201));
    receipts.onEvent(event('member-removed', 11, { userIds: ['x'] }));
    await clock.advance(600_000);
    expect(questions.length).toBe(1);
    receipts.onEvent(event('member-removed', 12, { userIds: ['y'] }));
    await clock.advance(2_000);
    await questions[1]?.answer({ ...largePage({ seq: 7, received: 198, read: 198 }, 199), position: at(12) });
    expect(handle.getSnapshot()).toMatchObject({ memberCount: 199, reach: { received: 7, read: 7 } });
    await clock.advance(600_000);
    expect(questions.length).toBe(2);
  });

  test('a group that shrinks to where members are named is read again, and so is one that grows beyond', async () => {
    const { receipts, questions, clock } = setUp();
    const handle = receipts.handleOf('g');
    handle.subscribe(() => undefined);
    await questions[0]?.answer(largePage({ seq: 7, received: 0, read: 0 }, 101));
    receipts.onEvent(event('member-removed', 11, { userIds: ['x'] }));
    receipts.onReceipt(receipt({ u1: { read: 9 } }));
    await clock.advance(2_000);
    const named = Object.fromEntries(
      ['me', ...Array.from({ length: 99 }, (_, n) => `u${n}`)].map((id) => [id, [9, 9]]),
    );
    await questions[1]?.answer(pageOf(named as Record<string, [number, number]>, 11));
    expect(handle.getSnapshot()).toMatchObject({ memberCount: 100, counts: null, reach: { received: 9, read: 9 } });
    receipts.onEvent(event('member-added', 12, { userIds: ['y'] }));
    await clock.advance(2_000);
    await questions[2]?.answer({ ...largePage({ seq: 12, received: 3, read: 2 }, 101), position: at(12) });
    receipts.onReceipt({ groupId: 'g', counts: { seq: 12, received: 100, read: 100 } });
    expect(handle.getSnapshot()).toMatchObject({ users: null, memberCount: 101, reach: { received: 12, read: 12 } });
    await clock.advance(600_000);
    expect(questions.length).toBe(3);
  });

  test('a change of members that came while a page was on its way makes it be read again', async () => {
    const { receipts, questions, clock } = setUp();
    receipts.handleOf('g').subscribe(() => undefined);
    receipts.onEvent(event('member-removed', 11, { userIds: ['x'] }));
    await questions[0]?.answer(largePage(null, 101));
    await clock.advance(2_000);
    await questions[1]?.answer({ ...largePage(null, 102), position: at(12) });
    await clock.advance(600_000);
    expect(questions.length).toBe(2);
  });

  test('a failure is tried again while somebody looks; an API without receipts is asked once a connection', async () => {
    const { receipts, questions, shown, clock } = setUp();
    shown.add('g');
    receipts.want('g');
    await questions[0]?.answer(new ClientError('UNREACHABLE', 'down', { retryable: true }));
    await clock.advance(2_000);
    await questions[1]?.answer(new ClientError('NOT_FOUND', 'no such route'));
    await clock.advance(60_000);
    receipts.want('g');
    expect([questions.length, receipts.handleOf('g').getSnapshot().status, clock.timers]).toEqual([2, 'failed', 0]);
    receipts.reconnected();
    await clock.advance(2_000);
    expect(questions.length).toBe(3);
  });

  test('a group that was started over forgets its numbers, and an answer from before', async () => {
    const { receipts, questions, reaches, clock } = setUp();
    const handle = receipts.handleOf('g');
    handle.subscribe(() => undefined);
    await questions[0]?.answer(both);
    receipts.reconnected();
    await clock.advance(2_000);
    receipts.startedOver('g');
    await questions[1]?.answer(pageOf({ me: [0, 0], bob: [99, 99] }));
    expect([reaches.get('g'), handle.getSnapshot().status]).toEqual([{ received: 0, read: 0 }, 'idle']);
    await clock.advance(2_000);
    await questions[2]?.answer(pageOf({ me: [0, 0], bob: [1, 1] }));
    expect(reaches.get('g')).toEqual({ received: 1, read: 1 });
  });

  test('of a group that was left nothing is read until the user is in it again', async () => {
    const { receipts, questions, clock } = setUp();
    const handle = receipts.handleOf('g');
    handle.subscribe(() => undefined);
    await questions[0]?.answer(both);
    receipts.reconnected();
    receipts.forget('g');
    await clock.advance(60_000);
    expect([questions.length, handle.getSnapshot().status, clock.timers]).toEqual([1, 'idle', 0]);
    // Somebody asks all the same, such as a view that has own messages.
    receipts.want('g');
    await questions[1]?.answer(new ClientError('NOT_FOUND', 'no such group'));
    expect(handle.getSnapshot().status).toBe('failed');
    receipts.joined('g');
    await clock.advance(2_000);
    await questions[2]?.answer(both);
    expect(handle.getSnapshot()).toMatchObject({ status: 'ready', reach: { received: 3, read: 3 } });
  });

  test('own messages on screen get their status again in a group to which the user was added again', async () => {
    const { receipts, questions, shown, clock } = setUp();
    shown.add('g');
    receipts.joined('other');
    receipts.want('g');
    await questions[0]?.answer(both);
    receipts.forget('g');
    receipts.joined('g');
    await clock.advance(2_000);
    expect(questions.map(({ groupId }) => groupId)).toEqual(['g', 'g']);
  });

  test('of many groups that nobody looks at any more, the last ones are kept; a status stays', async () => {
    const { receipts, questions, reaches } = setUp();
    for (let n = 0; n < 200; n += 1) {
      const stop = receipts.handleOf(`g${n}`).subscribe(() => undefined);
      await questions[n]?.answer(both);
      stop();
    }
    expect(receipts.handleOf('g0').getSnapshot()).toMatchObject({ status: 'idle', users: null });
    expect(receipts.handleOf('g199').getSnapshot().status).toBe('ready');
    expect(reaches.get('g0')).toEqual({ received: 3, read: 3 });
  });

  test('stopped, it asks nothing more', async () => {
    const { receipts, questions, clock } = setUp();
    receipts.handleOf('g').subscribe(() => undefined);
    await questions[0]?.answer(new ClientError('UNREACHABLE', 'down', { retryable: true }));
    receipts.stop();
    receipts.reconnected();
    await clock.advance(60_000);
    expect([questions.length, clock.timers]).toEqual([1, 0]);
  });
});
