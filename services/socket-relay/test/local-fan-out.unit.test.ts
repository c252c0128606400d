import { Server } from 'socket.io';
import { expect, test } from 'vitest';
import { createDeliveries } from '../src/fan-out/deliveries.ts';
import { createLocalFanOut } from '../src/fan-out/local-fan-out.ts';
import { createMarks, NO_MARK } from '../src/sessions/marks.ts';

test('an event for a group without members here is not handed to the sender, which would remember the room', () => {
  const sent: string[] = [];
  const marks = createMarks();
  const fanOut = createLocalFanOut(new Server(), {
    sender: {
      send: (room) => void sent.push(room),
      dialectsIn: () => [],
      forget: () => undefined,
      lagMs: () => 0,
      handedUpTo: () => NO_MARK,
    },
    deliveries: createDeliveries(marks),
    marks,
  });
  fanOut.hold('g');
  expect(fanOut.deliver('g', { event: 'e', payload: {}, position: { epoch: '1-a', seq: 1 }, id: 'm1' })).toBe(0);
  fanOut.announceHead({ groupId: 'g', epoch: '1-a', seq: 1 });
  expect(sent).toEqual([]);
});
