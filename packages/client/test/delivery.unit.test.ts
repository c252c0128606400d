import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GroupEvent, GroupSummary, Position } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import { createKeyedTopic, createTopic } from '../src/base/store.ts';
import { createDelivery } from '../src/delivery.ts';
import type { MessageView } from '../src/messages/message-view.ts';

const at = (seq: number, epoch = '1-a'): Position => ({ epoch, seq });
const event = (seq: number, epoch = '1-a'): GroupEvent => ({
  event: 'new-message',
  id: `${epoch}:${seq}`,
  groupId: 'g',
  epoch,
  seq,
});

function setUp() {
  const calls: string[] = [];
  const groups = new Map<string, Partial<Pick<GroupSummary, 'unreadCount' | 'position'>>>();
  let headSeq: number | undefined;
  const joined: string[] = [];
  const fail = (error: unknown): void => {
    throw error;
  };
  const note =
    (name: string) =>
    (...args: unknown[]): void =>
      void calls.push(
        `${name} ${args.map((arg) => (Array.isArray(arg) ? arg.map(({ seq }) => seq).join('+') : arg)).join(' ')}`,
      );
  const topics = {
    event: createTopic<GroupEvent>(fail),
    reset: createTopic<{ groupId: string; position: Position }>(fail),
    left: createTopic<{ groupId: string }>(fail),
  };
  const groupEvents = createKeyedTopic<GroupEvent>(fail);
  topics.event.subscribe(({ seq }) => calls.push(`event ${seq}`));
  topics.reset.subscribe(({ position }) => calls.push(`reset ${position.seq}`));
  topics.left.subscribe(({ groupId }) => calls.push(`left ${groupId}`));
  groupEvents.subscribe('g', ({ seq }) => calls.push(`of the group ${seq}`));
  const delivery = createDelivery({
    messages: {
      apply: note('messages'),
      shown: () => (headSeq === undefined ? undefined : ({ headSeq } as MessageView)),
      reset: () => undefined,
      leave: () => undefined,
    },
    groups: {
      apply: note('groups'),
      get: (groupId) => groups.get(groupId) as GroupSummary | undefined,
      remove: note('remove'),
    },
    cursors: { applied: note('cursors'), received: note('received'), forget: note('forget') },
    topics,
    groupEvents,
    onJoined: (groupId) => joined.push(groupId),
  });
  return { calls, delivery, groups, joined, showUpTo: (seq: number) => (headSeq = seq) };
}

describe('delivery', () => {
  test('knows how far a group has got from whatever is furthest: an event above a gap, a head, the list, or a page', () => {
    const { delivery, groups, showUpTo } = setUp();
    expect(delivery.headOf('g')).toBeUndefined();
    groups.set('g', { position: at(4) });
    expect(delivery.headOf('g')).toBe(4);
    delivery.standsAt('g', at(5));
    expect([delivery.headOf('g'), delivery.headOf('h')]).toEqual([5, undefined]);
    delivery.receive(event(8));
    expect([delivery.headOf('g'), delivery.positionOf('g')?.seq]).toEqual([8, 5]);
    delivery.head('g', at(9));
    expect(delivery.headOf('g')).toBe(9);
    showUpTo(10);
    expect(delivery.headOf('g')).toBe(10);
  });

  test('hands due events to messages, groups, listeners and cursors, in this order and once', () => {
    const { calls, delivery } = setUp();
    delivery.standsAt('g', at(4));
    delivery.receive(event(6));
    expect(calls).toEqual([]);
    delivery.receive(event(5));
    delivery.receive(event(5));
    expect(calls).toEqual([
      'messages g 5+6',
      'groups g 5+6',
      'event 5',
      'of the group 5',
      'event 6',
      'of the group 6',
      'cursors g 6',
    ]);
    expect(delivery.stats()).toMatchObject({ live: 2, duplicates: 1 });
  });

  test('says that a group has begun, once, and again after it was left', () => {
    const { delivery, joined } = setUp();
    delivery.standsAt('g', at(4));
    delivery.standsAt('g', at(5));
    expect(joined).toEqual(['g']);
    delivery.leave('g');
    delivery.standsAt('g', at(6));
    expect(joined).toEqual(['g', 'g']);
  });

  test('counts an event once, by its first source; an event that polling finds is fetched as well', () => {
    const { delivery } = setUp();
    delivery.standsAt('g', at(0));
    delivery.receive(event(1));
    delivery.page('g', at(1), { events: [event(2)], position: at(2) }, 'recovered');
    delivery.page('g', at(2), { events: [event(3)], position: at(3) }, 'fetched');
    delivery.page('g', at(3), { events: [event(4)], position: at(4) }, 'polled');
    delivery.receive(event(4));
    expect(delivery.stats()).toEqual({ live: 1, recovered: 1, fetched: 2, missedFoundByPoll: 1, duplicates: 1 });
  });

  test('a head begins no group, and the first position of a list or a greeting does', () => {
    const { delivery } = setUp();
    delivery.head('g', at(9));
    expect(delivery.lagOf('g')).toBe('unopened');
    delivery.standsAt('g', at(4));
    delivery.standsAt('g', at(6));
    expect([delivery.positionOf('g'), delivery.lagOf('g')]).toEqual([at(4), 'gap']);
  });

  test('a group that was started over is forgotten before its new events are handed on', () => {
    const { calls, delivery } = setUp();
    delivery.standsAt('g', at(4));
    delivery.receive(event(3, '2-b'));
    delivery.reset('g', at(2, '2-b'), 'fetched');
    expect(calls.slice(0, 3)).toEqual(['forget g', 'reset 2', 'messages g 3']);
  });

  test('a group that was left is gone, and begins anew', () => {
    const { calls, delivery } = setUp();
    delivery.standsAt('g', at(4));
    delivery.leave('g');
    expect(calls).toEqual(['forget g', 'remove g', 'left g']);
    expect(delivery.positions()).toEqual({});
  });

  test('stopped, it hands on nothing', () => {
    const { calls, delivery } = setUp();
    delivery.standsAt('g', at(0));
    delivery.stop();
    delivery.receive(event(1));
    expect(calls).toEqual([]);
  });

  test('a group with unread messages in a list has arrived as far as its events begin, and one that was read is not reported', () => {
    const { calls, delivery, groups } = setUp();
    groups.set('g', { unreadCount: 2 });
    groups.set('h', { unreadCount: 0 });
    for (const groupId of ['g', 'h']) {
      delivery.standsAt(groupId, at(4));
      delivery.arrived(groupId);
    }
    delivery.arrived('unknown');
    expect(calls).toEqual(['received g 4']);
  });

  test('alone has an inbox', () => {
    const folder = fileURLToPath(new URL('../src', import.meta.url));
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => /\.tsx?$/.test(file));
    const users = files.filter((file) => /import [^;]*\bcreateInbox\b/.test(readFileSync(join(folder, file), 'utf8')));
    expect(users).toEqual(['delivery.ts']);
  });
});
