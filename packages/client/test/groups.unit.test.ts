import type { GroupEvent, GroupSummary } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import type { Api } from '../src/api/api.ts';
import { ClientError } from '../src/errors.ts';
import { createGroups } from '../src/groups/groups.ts';
import { manualClock, memoryLogger, turns } from './manual-clock.ts';

const sent = (seq: number, senderId = 'bob', groupId = 'g'): GroupEvent => ({
  event: 'new-message',
  id: `m${seq}`,
  groupId,
  epoch: '1-a',
  seq,
  senderId,
  content: `text ${seq}`,
  createdAt: new Date(seq * 1_000).toISOString(),
});

const deletion = (seq: number, messageSeq: number, senderId = 'bob'): GroupEvent => {
  const about = { messageId: `m${messageSeq}`, messageSeq, senderId };
  return { event: 'message-deleted', id: `d${seq}`, groupId: 'g', epoch: '1-a', seq, ...about };
};

function summary(id: string, seq: number, unreadCount = 0, changes: Partial<GroupSummary> = {}): GroupSummary {
  const { event: _, ...message } = sent(seq, 'bob', id);
  const lastMessage = seq > 0 ? (message as unknown as GroupSummary['lastMessage']) : null;
  const position = { epoch: '1-a', seq };
  return {
    id,
    name: id,
    kind: 'group',
    createdAt: '',
    memberCount: 2,
    unreadCount,
    readSeq: 0,
    lastMessage,
    position,
    ...changes,
  };
}

function setUp(list: () => Promise<GroupSummary[]>, more: Partial<Pick<Api, 'group' | 'messages'>> = {}) {
  const clock = manualClock();
  const listed: string[] = [];
  const gone: string[] = [];
  const removals: string[] = [];
  let reads = 0;
  const groups = createGroups({
    api: {
      groups: async () => {
        reads += 1;
        return list();
      },
      group: async (id) => {
        throw new ClientError('NOT_FOUND', `no group ${id}`);
      },
      messages: async () => ({ messages: [], position: { epoch: '1-a', seq: 0 } }),
      ...more,
    },
    me: () => 'me',
    onListed: ({ id, position }) => listed.push(`${id}@${position.seq}`),
    onRead: () => undefined,
    onGone: (groupId) => gone.push(groupId),
    onRemoved: (groupId, seq) => removals.push(`${groupId}@${seq}`),
    clock,
    random: () => 1,
    log: memoryLogger(),
    onListenerError: (error) => {
      throw error;
    },
  });
  return { clock, listed, gone, removals, groups, reads: () => reads };
}

describe('the list of groups', () => {
  test('is read once, and kept current by events of every group', async () => {
    const { groups, reads } = setUp(async () => [summary('g', 3, 1), summary('h', 9)]);
    await groups.refresh();
    groups.apply('g', [sent(4), sent(5)]);
    expect(groups.get('g')).toMatchObject({ unreadCount: 3, lastMessage: { id: 'm5' }, position: { seq: 5 } });
    expect([groups.unread.getSnapshot(), reads()]).toEqual([3, 1]);
    groups.apply('g', [sent(6, 'me')]);
    expect([groups.get('g')?.unreadCount, groups.unread.getSnapshot()]).toEqual([0, 0]);
  });

  test('an event the list knows already is not counted again; one that passed while it was read is', async () => {
    let answer: (groups: GroupSummary[]) => void = () => undefined;
    let answers = 0;
    const { groups } = setUp(async () => {
      answers += 1;
      if (answers === 1) return [summary('g', 1)];
      return new Promise<GroupSummary[]>((resolve) => {
        answer = resolve;
      });
    });
    await groups.refresh();
    const again = groups.refresh();
    await turns();
    groups.apply('g', [sent(2), sent(3)]);
    answer([summary('g', 2, 1)]);
    await again;
    expect(groups.get('g')).toMatchObject({ unreadCount: 2, lastMessage: { id: 'm3' } });
    groups.apply('g', [sent(2)]);
    expect(groups.get('g')?.unreadCount).toBe(2);
  });

  test('events that pass while the list is read are kept where the own reading is ahead of the list', async () => {
    let answer: (groups: GroupSummary[]) => void = () => undefined;
    let answers = 0;
    const { groups } = setUp(async () => {
      answers += 1;
      if (answers === 1) return [summary('g', 9, 0, { readSeq: 7, unreadCount: 2 })];
      return new Promise<GroupSummary[]>((resolve) => {
        answer = resolve;
      });
    });
    await groups.refresh();
    groups.read('g', 9);
    groups.apply('g', [sent(10)]);
    const again = groups.refresh();
    await turns();
    groups.apply('g', [sent(11)]);
    answer([summary('g', 10, 3, { readSeq: 7 })]);
    await again;
    expect(groups.get('g')).toMatchObject({ lastMessage: { id: 'm11' }, position: { seq: 11 }, readSeq: 9 });
    expect(groups.read('g', 10)).toBe('part');
  });

  test('nothing new is the same snapshot, and nobody is told', async () => {
    const { groups } = setUp(async () => [summary('g', 3, 1), summary('h', 9)]);
    await groups.refresh();
    let calls = 0;
    groups.subscribe(() => {
      calls += 1;
    });
    const before = groups.getSnapshot();
    await groups.refresh();
    expect([groups.getSnapshot() === before, calls]).toEqual([true, 0]);
    const other = groups.get('h');
    groups.apply('g', [sent(4)]);
    expect([groups.get('h') === other, calls]).toEqual([true, 1]);
  });

  test('only the listeners of the group that changed are called', async () => {
    const { groups } = setUp(async () => [summary('g', 3), summary('h', 9)]);
    await groups.refresh();
    const calls: string[] = [];
    groups.subscribeTo('g', () => calls.push('g'));
    groups.subscribeTo('h', () => calls.push('h'));
    groups.apply('h', [sent(10, 'bob', 'h')]);
    expect(calls).toEqual(['h']);
  });

  test('a message that was read stays read, although the API has not heard of it yet', async () => {
    const { groups } = setUp(async () => [summary('g', 3, 3)]);
    await groups.refresh();
    groups.read('g', 3);
    expect(groups.unread.getSnapshot()).toBe(0);
    await groups.refresh();
    expect(groups.unread.getSnapshot()).toBe(0);
    groups.apply('g', [sent(4)]);
    expect(groups.unread.getSnapshot()).toBe(1);
  });

  describe('after a removal of this user, which was followed by an addition', () => {
    const removed = (seq: number): GroupEvent => ({
      event: 'member-removed',
      id: `r${seq}`,
      groupId: 'g',
      epoch: '1-a',
      seq,
      userIds: ['x', 'me'],
    });

    test('nothing is read, and what the list says counts', async () => {
      let now = summary('g', 3, 3);
      const { groups, removals } = setUp(async () => [now]);
      await groups.refresh();
      groups.read('g', 3);
      groups.apply('g', [{ ...removed(4), userIds: ['x'] }]);
      expect([groups.get('g')?.readSeq, removals]).toEqual([3, []]);
      groups.apply('g', [removed(5)]);
      expect([groups.get('g')?.readSeq, removals]).toEqual([0, ['g@5']]);
      now = { ...now, unreadCount: 2, readSeq: 1, position: { epoch: '1-a', seq: 6 } };
      await groups.refresh();
      expect(groups.get('g')).toMatchObject({ unreadCount: 2, readSeq: 1 });
    });

    test('the same where the list comes before the events', async () => {
      let now = summary('g', 3, 3);
      const { groups, removals } = setUp(async () => [now]);
      await groups.refresh();
      groups.read('g', 3);
      now = { ...now, unreadCount: 3, position: { epoch: '1-a', seq: 6 } };
      await groups.refresh();
      groups.apply('g', [removed(4)]);
      await groups.refresh();
      expect([groups.get('g')?.readSeq, groups.get('g')?.unreadCount, removals]).toEqual([0, 3, ['g@4']]);
    });

    test('the same where the list was on its way, from before or after the removal', async () => {
      for (const seq of [4, 6]) {
        let answer: (groups: GroupSummary[]) => void = () => undefined;
        const lists = [[summary('g', 3, 3)]];
        const { groups } = setUp(
          async () => lists.shift() ?? new Promise<GroupSummary[]>((resolve) => (answer = resolve)),
        );
        await groups.refresh();
        groups.read('g', 3);
        const again = groups.refresh();
        await turns();
        groups.apply('g', [removed(5)]);
        const position = { epoch: '1-a', seq };
        answer([{ ...summary('g', 3), position, ...(seq < 5 ? { readSeq: 3 } : { readSeq: 2, unreadCount: 1 }) }]);
        await again;
        expect(groups.get('g')?.readSeq).toBe(seq < 5 ? 0 : 2);
      }
    });

    test('a cursor beyond the removal is one of the new membership', async () => {
      const { groups } = setUp(async () => [summary('g', 3, 3)]);
      await groups.refresh();
      groups.read('g', 7);
      groups.apply('g', [removed(4), sent(5), sent(8)]);
      expect(groups.get('g')).toMatchObject({ readSeq: 7, unreadCount: 1 });
    });
  });

  test('a group that is not listed any more is gone; a listed one is made known with its position', async () => {
    let now = [summary('g', 3), summary('h', 9)];
    const { groups, gone, listed } = setUp(async () => now);
    await groups.refresh();
    now = [summary('h', 9)];
    await groups.refresh();
    expect([gone, groups.getSnapshot().groups.map(({ id }) => id)]).toEqual([['g'], ['h']]);
    expect(listed).toEqual(['g@3', 'h@9', 'h@9']);
  });

  test('names, members, edits and deletions', async () => {
    const { groups } = setUp(async () => [summary('g', 3)]);
    await groups.refresh();
    const event = (seq: number, name: string, fields: object): GroupEvent => ({
      ...sent(seq),
      ...fields,
      event: name,
      id: `e${seq}`,
    });
    groups.apply('g', [
      event(4, 'group-updated', { name: 'new name' }),
      event(5, 'member-added', { userIds: ['a', 'b'] }),
      event(6, 'member-removed', { userIds: ['a'] }),
      event(7, 'message-updated', { messageId: 'm3', content: 'edited' }),
    ]);
    expect(groups.get('g')).toMatchObject({ name: 'new name', memberCount: 3, lastMessage: { content: 'edited' } });
    groups.apply('g', [event(8, 'message-deleted', { messageId: 'm3' })]);
    expect(groups.get('g')?.lastMessage).toBeNull();
  });

  test('an edit of the last message changes all that it names, and takes the application’s fields away where it says so', async () => {
    const { groups } = setUp(async () => [summary('g', 3)]);
    await groups.refresh();
    const edited = (seq: number, fields: object): GroupEvent => ({
      ...deletion(seq, 3),
      event: 'message-updated',
      updatedAt: `2030-01-0${seq}`,
      ...fields,
    });
    groups.apply('g', [edited(4, { content: 'text 3', custom: { a: 1 } })]);
    const { lastMessage } = groups.get('g') ?? {};
    expect(lastMessage).toMatchObject({ id: 'm3', seq: 3, custom: { a: 1 }, updatedAt: '2030-01-04' });
    groups.apply('g', [edited(5, { content: 'other' })]);
    expect(groups.get('g')?.lastMessage).toMatchObject({ content: 'other', custom: { a: 1 } });
    groups.apply('g', [edited(6, { content: 'other', custom: null })]);
    expect(groups.get('g')?.lastMessage).not.toHaveProperty('custom');
    expect(groups.get('g')?.lastMessage).not.toHaveProperty('messageId');
  });

  test('a retention of its own, which comes and goes with an event, and stays when the name changes', async () => {
    const { groups } = setUp(async () => [summary('g', 3)]);
    await groups.refresh();
    const updated = (seq: number, fields: object): GroupEvent => ({ ...sent(seq), ...fields, event: 'group-updated' });
    groups.apply('g', [updated(4, { name: 'g', retentionDays: 30 })]);
    expect(groups.get('g')).toMatchObject({ name: 'g', retentionDays: 30 });
    groups.apply('g', [updated(5, { name: 'other' }), updated(6, { retentionDays: 'x' })]);
    expect(groups.get('g')).toMatchObject({ name: 'other', retentionDays: 30 });
    groups.apply('g', [updated(7, { name: null, retentionDays: null })]);
    expect(groups.get('g')).not.toHaveProperty('retentionDays');
  });

  test('fields of the application’s own, which follow the events as well', async () => {
    const { groups } = setUp(async () => [summary('g', 3, 0, { custom: { a: 1 } })]);
    await groups.refresh();
    const updated = (seq: number, fields: object): GroupEvent => ({ ...sent(seq), ...fields, event: 'group-updated' });
    groups.apply('g', [updated(4, { name: 'other' })]);
    expect(groups.get('g')).toMatchObject({ name: 'other', custom: { a: 1 } });
    groups.apply('g', [updated(5, { custom: { b: 2 } }), updated(6, { custom: 'x' })]);
    expect(groups.get('g')?.custom).toEqual({ b: 2 });
    groups.apply('g', [updated(7, { custom: null })]);
    expect(groups.get('g')).not.toHaveProperty('custom');
  });

  test('a list that cannot be read is read again, and says so meanwhile', async () => {
    let up = false;
    const { groups, clock, reads } = setUp(async () => {
      if (up) return [summary('g', 3)];
      throw new ClientError('UNREACHABLE', 'down', { retryable: true });
    });
    expect(await groups.refresh()).toBe(false);
    expect(groups.getSnapshot()).toMatchObject({ status: 'failed', error: { code: 'UNREACHABLE' } });
    await clock.advance(1_000);
    up = true;
    await clock.advance(2_000);
    expect([groups.getSnapshot().status, groups.getSnapshot().error, reads()]).toEqual(['ready', null, 3]);
    expect(clock.timers).toBe(0);
  });

  test('the earlier of two plans counts', async () => {
    const { groups, clock, reads } = setUp(async () => []);
    groups.refreshWithin(30_000);
    groups.refreshWithin(100);
    groups.refreshWithin(5_000);
    await clock.advance(100);
    expect(reads()).toBe(1);
    await clock.advance(60_000);
    expect(reads()).toBe(1);
    groups.refreshWithin(100);
    groups.stop();
    await clock.advance(60_000);
    expect([reads(), clock.timers]).toEqual([1, 0]);
  });

  test('a message that was read before its event came, because the page was faster, is not unread when the event comes', async () => {
    const { groups } = setUp(async () => [summary('g', 8)]);
    await groups.refresh();
    expect([groups.read('g', 10), groups.read('g', 10), groups.read('g', 9)]).toEqual(['all', 'no news', 'no news']);
    groups.apply('g', [sent(9), sent(10), sent(11)]);
    expect(groups.get('g')?.unreadCount).toBe(1);
  });

  test('a list that knows a further message and not yet what was read leaves the count alone', async () => {
    let at = 5;
    const { groups } = setUp(async () => [summary('g', at, at)]);
    await groups.refresh();
    groups.read('g', 5);
    groups.apply('g', [sent(6)]);
    at = 7;
    await groups.refresh();
    expect(groups.get('g')?.unreadCount).toBe(1);
    groups.apply('g', [sent(7)]);
    expect(groups.get('g')).toMatchObject({ unreadCount: 2, lastMessage: { id: 'm7' } });
  });

  test('the count after a part was read is the newest question’s, and of the place where it was made', async () => {
    const { groups } = setUp(async () => [summary('g', 5, 5)]);
    const at = (seq: number) => ({ epoch: '1-a', seq });
    await groups.refresh();
    groups.read('g', 2);
    groups.read('g', 4);
    expect(groups.counted('g', 4, { unreadCount: 2, position: at(6) })).toBe(true);
    expect(groups.counted('g', 2, { unreadCount: 3, position: at(5) })).toBe(true);
    // 6 was counted already.
    groups.apply('g', [sent(6)]);
    expect(groups.get('g')?.unreadCount).toBe(2);
    groups.apply('g', [sent(7)]);
    // 7 was not.
    expect(groups.counted('g', 4, { unreadCount: 2, position: at(6) })).toBe(false);
    expect(groups.get('g')?.unreadCount).toBe(3);
  });

  test('a deleted message is not unread any more, and the last one is looked up if it was that', async () => {
    const { event: _, ...fourth } = sent(4);
    const { groups, clock, reads } = setUp(async () => [summary('g', 5, 2, { readSeq: 3 }), summary('h', 4)], {
      messages: async () => ({ messages: [fourth as never], position: { epoch: '1-a', seq: 6 } }),
    });
    await groups.refresh();
    groups.apply('g', [deletion(6, 5)]);
    expect(groups.get('g')).toMatchObject({ unreadCount: 1, lastMessage: null });
    expect(groups.getSnapshot().groups.map(({ id }) => id)).toEqual(['g', 'h']);
    await clock.advance(2_000);
    expect(groups.get('g')?.lastMessage?.id).toBe('m4');
    groups.apply('g', [deletion(7, 2)]);
    expect([groups.get('g')?.unreadCount, reads()]).toEqual([1, 1]);
  });

  test('a message that was deleted before it came takes nothing off the others, and an own one was read all the same', async () => {
    const { groups } = setUp(async () => [summary('g', 2, 1, { readSeq: 1 })]);
    const erased = (seq: number, senderId: string): GroupEvent[] => [
      { ...sent(seq, senderId), content: '', deleted: true },
      deletion(seq + 1, seq, senderId),
    ];
    await groups.refresh();
    groups.apply('g', erased(3, 'bob'));
    expect(groups.get('g')).toMatchObject({ unreadCount: 1, readSeq: 1, lastMessage: { id: 'm2' } });
    groups.apply('g', [...erased(5, 'me'), sent(7)]);
    expect(groups.get('g')).toMatchObject({ unreadCount: 1, readSeq: 5, lastMessage: { id: 'm7' } });
  });

  test('a part that is read while nobody knows the last message is no reading to the end', async () => {
    const { groups } = setUp(async () => [summary('g', 5, 5)]);
    await groups.refresh();
    groups.apply('g', [deletion(6, 5)]);
    expect(groups.get('g')).toMatchObject({ unreadCount: 4, lastMessage: null });
    expect([groups.read('g', 1), groups.get('g')?.unreadCount]).toEqual(['part', 4]);
    expect([groups.read('g', 6), groups.get('g')?.unreadCount]).toEqual(['all', 0]);
  });

  test('a part that is read is none to the end where the API has counted messages that have not come yet', async () => {
    const { groups } = setUp(async () => [summary('g', 5, 5)]);
    await groups.refresh();
    expect(groups.read('g', 2)).toBe('part');
    groups.counted('g', 2, { unreadCount: 5, position: { epoch: '1-a', seq: 7 } });
    expect([groups.read('g', 5), groups.get('g')?.unreadCount]).toEqual(['part', 5]);
    groups.apply('g', [sent(6), sent(7)]);
    expect([groups.read('g', 7), groups.get('g')?.unreadCount]).toEqual(['all', 0]);
  });

  test('a last message that could not be looked up is looked up again, later each time, unless the API refuses for good', async () => {
    const down = new ClientError('UNREACHABLE', 'down', { retryable: true, retryAfterMs: 60_000 });
    const failures = [down, down, new ClientError('FORBIDDEN', 'no')];
    let questions = 0;
    const { groups, clock } = setUp(async () => [summary('g', 5)], {
      messages: async () => {
        questions += 1;
        throw failures[questions - 1] ?? new ClientError('INTERNAL', 'too many questions');
      },
    });
    await groups.refresh();
    groups.apply('g', [deletion(6, 5)]);
    await clock.advance(2_000);
    expect(questions).toBe(1);
    await clock.advance(59_000);
    expect(questions).toBe(1);
    await clock.advance(5_000);
    expect(questions).toBe(2);
    await clock.advance(600_000);
    expect([questions, clock.timers]).toEqual([3, 0]);
  });

  test('a group that no page of the list had, because it moved between them, is not gone', async () => {
    let now = [summary('g', 3), summary('h', 9)];
    const { groups, gone } = setUp(async () => now, {
      group: async (id) => {
        if (id === 'g') return { ...summary('g', 4), members: [] };
        throw new ClientError('NOT_FOUND', 'no such group');
      },
    });
    await groups.refresh();
    now = [];
    await groups.refresh();
    expect([gone, groups.getSnapshot().groups.map(({ id }) => id)]).toEqual([['h'], ['g']]);
  });
});
