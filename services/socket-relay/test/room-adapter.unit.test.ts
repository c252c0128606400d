import fc from 'fast-check';
import { Adapter } from 'socket.io-adapter';
import { expect, test } from 'vitest';
import { RoomAdapter } from '../src/engine/room-adapter.ts';

const IDS = ['s1', 's2', 's3'];
const ROOMS = ['group-a', 'group-b', 'user-1'];
const EVENTS = ['create-room', 'join-room', 'leave-room', 'delete-room'];

const id = fc.constantFrom(...IDS);
const rooms = fc.uniqueArray(fc.constantFrom(...ROOMS));
const step = fc.oneof(
  fc.record({ do: fc.constant('connect' as const), id }),
  fc.record({ do: fc.constant('join' as const), id, rooms }),
  fc.record({ do: fc.constant('leave' as const), id, room: fc.constantFrom(...ROOMS) }),
  fc.record({ do: fc.constant('disconnect' as const), id }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** An adapter as a namespace holds it, and the events it emits. */
function start(kind: typeof Adapter) {
  const adapter = new kind({
    server: { encoder: {} },
    sockets: new Map(IDS.map((each) => [each, { id: each, data: {} }])),
  });
  const said: string[] = [];
  for (const event of EVENTS) adapter.on(event, (...args: string[]) => said.push([event, ...args].join(' ')));
  return { adapter, said };
}

function apply(adapter: Adapter, action: Step): void {
  // Socket.IO puts a socket into its own room first, and asks nothing of one that is not there.
  if (action.do === 'connect') void adapter.addAll(action.id, new Set([action.id]));
  else if (!adapter.sids.has(action.id)) return;
  else if (action.do === 'join') void adapter.addAll(action.id, new Set(action.rooms));
  else if (action.do === 'leave') void adapter.del(action.id, action.room);
  else adapter.delAll(action.id);
}

async function reached(adapter: Adapter, to: readonly string[], except: readonly string[]): Promise<string[]> {
  const sockets = (await adapter.fetchSockets({ rooms: new Set(to), except: new Set(except) })) as { id: string }[];
  return sockets.map((socket) => socket.id);
}

test('has the rooms, emits the events and reaches the sockets that Socket.IO’s own adapter does', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const [stock, ours] = [start(Adapter), start(RoomAdapter)];
      for (const action of steps) {
        for (const { adapter } of [stock, ours]) apply(adapter, action);
        expect(ours.said).toEqual(stock.said);
        for (const name of [...ROOMS, ...IDS]) {
          expect(ours.adapter.rooms.has(name)).toBe(stock.adapter.rooms.has(name));
          expect(ours.adapter.rooms.get(name)).toEqual(stock.adapter.rooms.get(name));
        }
        for (const each of IDS) expect(ours.adapter.socketRooms(each)).toEqual(stock.adapter.socketRooms(each));
        for (const to of [[], ['s1'], ['group-a', 's2'], ROOMS]) {
          for (const except of [[], ['s1'], ['group-b'], ['user-1', 's3']]) {
            expect(await reached(ours.adapter, to, except)).toEqual(await reached(stock.adapter, to, except));
          }
        }
      }
    }),
    { numRuns: 200 },
  );
});
