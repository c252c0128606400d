import type { GroupEvent } from '@groupcast/client';
import { describe, expect, test } from 'vitest';
import { type Members, withMemberEvents } from '../src/react/members-mirror.ts';

const EPOCH = '1-a';
const event = (name: string, seq: number, userIds: unknown, epoch = EPOCH): GroupEvent =>
  ({ event: name, id: `e${seq}`, groupId: 'g', epoch, seq, userIds }) as GroupEvent;
const before: Members = {
  members: [
    { userId: 'alice', role: 'owner', name: 'Alice' },
    { userId: 'bob', role: 'member', name: 'Bob' },
  ],
  more: false,
  position: { epoch: EPOCH, seq: 5 },
};
const idsAfter = (...events: GroupEvent[]): string[] =>
  withMemberEvents(before, events).members.map(({ userId }) => userId);

describe('the members of a group', () => {
  test('follow additions and removals, in the order of the group', () => {
    expect(idsAfter(event('member-added', 6, ['carol', 'dave']), event('member-removed', 7, ['bob', 'dave']))).toEqual([
      'alice',
      'carol',
    ]);
    const { members, position } = withMemberEvents(before, [event('member-added', 9, ['carol'])]);
    expect([members.at(-1), position.seq]).toEqual([{ userId: 'carol', role: 'member' }, 9]);
  });

  test('are the same object after a change that they know, one of another epoch, and one that is not about them', () => {
    const others = [
      event('member-removed', 5, ['bob']),
      event('member-removed', 6, ['bob'], '2-b'),
      event('new-message', 7, ['bob']),
    ];
    expect(withMemberEvents(before, others)).toBe(before);
  });

  test('an addition without readable ids adds nobody, and one that is there already is there once', () => {
    expect(idsAfter(event('member-added', 6, 'carol'), event('member-added', 7, [7, null]))).toEqual(['alice', 'bob']);
    expect(withMemberEvents(before, [event('member-added', 6, ['bob', 'bob'])]).members).toEqual(before.members);
  });

  test('additions come behind those that are shown, where there are more', () => {
    const first = { ...before, more: true };
    const { members, position } = withMemberEvents(first, [event('member-added', 6, ['carol'])]);
    // The same array, so that no component renders again.
    expect(members).toBe(first.members);
    expect(position.seq).toBe(6);
    expect(withMemberEvents(first, [event('member-removed', 6, ['bob'])]).members).toEqual([before.members[0]]);
  });

  test('are a thousand at most, whatever is added', () => {
    const userIds = Array.from({ length: 900 }, (_, n) => `u${n}`);
    const full = withMemberEvents(before, [
      event('member-added', 6, userIds),
      event(
        'member-added',
        7,
        userIds.map((id) => `more-${id}`),
      ),
    ]);
    expect([full.members.length, full.more, full.members.at(-1)?.userId]).toEqual([1_000, true, 'more-u97']);
    expect(before.more).toBe(false);
  });
});
