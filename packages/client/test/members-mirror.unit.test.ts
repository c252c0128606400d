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
});
