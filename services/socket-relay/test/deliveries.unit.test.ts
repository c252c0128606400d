import { expect, test } from 'vitest';
import { createDeliveries, type Deliveries } from '../src/fan-out/deliveries.ts';
import { admittedBy, becauseOf, liveSince } from '../src/sessions/in-group.ts';
import { createMarks, type Marks, NO_MARK } from '../src/sessions/marks.ts';

const EPOCH = '1-a';

function start(max: number): { deliveries: Deliveries; marks: Marks; say: (groupId: string, seq: number) => void } {
  const marks = createMarks();
  const deliveries = createDeliveries(marks, { max });
  return {
    deliveries,
    marks,
    say(groupId, seq) {
      const position = { epoch: EPOCH, seq };
      deliveries.record(groupId, { event: 'new-message', id: `${groupId}-${seq}`, payload: {}, position }, {});
    },
  };
}

test('an event is found by its id and by its position, and its number is its place on the node', () => {
  const { deliveries, say } = start(10);
  say('a', 1);
  say('b', 1);
  say('a', 2);
  expect(deliveries.find('a', { id: 'a-1' })?.number).toBe(1);
  expect(deliveries.find('a', { seq: 2, epoch: undefined })?.number).toBe(3);
  expect(deliveries.find('b', { seq: 1, epoch: EPOCH })?.number).toBe(2);
  expect(deliveries.find('b', { seq: 1, epoch: '2-b' })).toBeUndefined();
  expect(deliveries.find('a', { id: 'b-1' })).toBeUndefined();
});

test('the last event up to a number is the one before it in the same group', () => {
  const { deliveries, say } = start(10);
  say('a', 1);
  say('b', 1);
  say('a', 2);
  expect(deliveries.lastPositioned('a', 2)?.position?.seq).toBe(1);
  expect(deliveries.lastPositioned('a', 3)?.position?.seq).toBe(2);
  expect(deliveries.lastPositioned('b', 1)).toBeUndefined();
});

test('an event without a position does not hide the one before it', () => {
  const { deliveries, say } = start(10);
  say('a', 1);
  deliveries.record('a', { event: 'typed', id: 'x', payload: {}, position: null }, {});
  expect(deliveries.lastPositioned('a', 2)?.position?.seq).toBe(1);
});

test('only the newest are remembered, whatever the groups, and none holds those before it', () => {
  const { deliveries, say } = start(3);
  say('quiet', 1);
  for (let seq = 1; seq <= 5; seq += 1) say('busy', seq);
  expect(deliveries.find('quiet', { id: 'quiet-1' })).toBeUndefined();
  expect([1, 2, 3, 4, 5].map((seq) => deliveries.find('busy', { seq, epoch: EPOCH })?.number)).toEqual([
    undefined,
    undefined,
    4,
    5,
    6,
  ]);
  let chain = 0;
  for (let each = deliveries.lastPositioned('busy', 6); each; each = each.before) chain += 1;
  expect(chain).toBeLessThanOrEqual(4);
});

test('a connection that recovers has a number from which on it was sent what it had missed', () => {
  const { deliveries, say, marks } = start(10);
  say('a', 1);
  deliveries.recovered('s', 'a', { epoch: EPOCH, after: 3, upTo: 7 });
  const at = (seq: number, epoch = EPOCH): number | undefined => deliveries.recoveredAt('s', 'a', { epoch, seq });
  expect([at(3), at(4), at(7), at(8)]).toEqual([undefined, 2, 2, undefined]);
  // The numbers of another epoch are other events.
  expect(at(5, '2-b')).toBeUndefined();
  expect(deliveries.recoveredAt('other', 'a', { epoch: EPOCH, seq: 5 })).toBeUndefined();
  // The next page of what it had missed.
  deliveries.recovered('s', 'a', { epoch: EPOCH, after: 7, upTo: 9 });
  expect([at(4), at(9)]).toEqual([3, 3]);
  expect(marks.last).toBe(3);
  deliveries.forget('s');
  expect(at(4)).toBeUndefined();
});

test('those who are live since the same number share one object, however many they are', () => {
  const first = liveSince(admittedBy('token'), 41);
  expect(liveSince(admittedBy('token'), 41)).toBe(first);
  expect(first).toEqual({ admission: 'token', since: 41 });
  // A second entry is none.
  expect(liveSince(first, 50)).toBe(first);
  expect(becauseOf(first, 'api')).toEqual({ admission: 'api', since: 41 });
});

test('marks of one moment are one object', () => {
  let now = 100;
  const marks = createMarks(() => now);
  expect(NO_MARK.upTo).toBe(0);
  const first = marks.now();
  expect(marks.now()).toBe(first);
  marks.next();
  expect(marks.now()).not.toBe(first);
  const second = marks.now();
  now += 1_000;
  expect(marks.now()).toEqual({ upTo: 1, at: 1_100 });
  expect(marks.until(0).upTo).toBe(0);
  expect(second.upTo).toBe(1);
});

test('an event that was not delivered here is not looked for in all of its group, and one of an earlier epoch is found', () => {
  const { deliveries, say } = start(2_000);
  let looks = 0;
  for (let seq = 1; seq <= 1_000; seq += 1) {
    const position = {
      epoch: EPOCH,
      get seq() {
        looks += 1;
        return seq;
      },
    };
    deliveries.record('a', { event: 'new-message', id: `a-${seq}`, payload: {}, position }, {});
  }
  expect(deliveries.find('a', { seq: 2_000, epoch: EPOCH })).toBeUndefined();
  expect(looks).toBeLessThan(10);
  say('b', 7);
  const position = { epoch: '2-b', seq: 1 };
  deliveries.record('b', { event: 'new-message', id: 'b-new', payload: {}, position }, {});
  expect(deliveries.find('b', { seq: 7, epoch: EPOCH })?.id).toBe('b-7');
});
