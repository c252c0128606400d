import { groupRoom } from '@groupcast/shared';
import { Server } from 'socket.io';
import { beforeEach, expect, test } from 'vitest';
import { createDeliveries, type Deliveries } from '../src/fan-out/deliveries.ts';
import type { FanOut } from '../src/fan-out/fan-out.ts';
import { createLocalFanOut } from '../src/fan-out/local-fan-out.ts';
import { createMarks, type Marks, NO_MARK } from '../src/sessions/marks.ts';
import type { RelayServer } from '../src/sessions/session.ts';

let io: RelayServer;
let sent: string[];
let marks: Marks;
let deliveries: Deliveries;
let fanOut: FanOut;

beforeEach(() => {
  io = new Server();
  sent = [];
  marks = createMarks();
  deliveries = createDeliveries(marks);
  const sender = {
    send: (room: string) => void sent.push(room),
    dialectsIn: () => [],
    forget: () => undefined,
    lagMs: () => 0,
    handedUpTo: () => NO_MARK,
  };
  fanOut = createLocalFanOut(io, { sender, deliveries, marks });
});

const at = (seq: number) => ({ epoch: '1-a', seq });
const deliver = (seq: number): number =>
  fanOut.deliver('g', { event: 'e', payload: {}, position: at(seq), id: `m${seq}` });

test('an event for a group without members here is not handed to the sender, which would remember the room', () => {
  fanOut.hold('g');
  expect(deliver(1)).toBe(0);
  fanOut.announceHead({ groupId: 'g', ...at(1) });
  expect(sent).toEqual([]);
});

test('events that were stepped over, which nobody can be given, are remembered as a gap', () => {
  fanOut.hold('g');
  void io.of('/').adapter.addAll('s', new Set([groupRoom('g')]));
  const stands = (read: number) => deliveries.positionAt('g', { read, since: 0, left: marks.last });
  // The first position of a group that begins is no gap.
  fanOut.skipTo('g', at(3));
  expect(stands(marks.last)).toBe('unmoved');
  deliver(4);
  const read = marks.last;
  fanOut.skipTo('g', at(9));
  expect([stands(read), stands(marks.last)]).toEqual(['unknown', at(4)]);
  deliver(10);
  expect([stands(read), stands(marks.last)]).toEqual(['unknown', at(10)]);
});
