import { nativeDialect } from '@groupcast/dialects';
import { expect, test } from 'vitest';
import type { ConnectionWriter } from '../src/fan-out/connection-writer.ts';
import { createSendings } from '../src/fan-out/sendings.ts';
import { createOffsets } from '../src/sessions/offsets.ts';

/** An audience that counts how often somebody goes through it. */
class CountedAudience extends Array<ConnectionWriter> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
  looks = 0;
  override includes(): boolean {
    this.looks += 1;
    return true;
  }
  override filter(...given: unknown[]): never {
    this.looks += 1;
    return super.filter(...(given as [() => boolean])) as never;
  }
}

test('those who are left out of an event are not looked for in the room, however many they are', () => {
  const writers = Array.from({ length: 1_000 }, (_, n) => ({ socket: { id: `s${n}`, data: {} } }) as ConnectionWriter);
  const byId = new Map(writers.map((writer) => [writer.socket.id, writer]));
  const sendings = createSendings(
    { of: (id) => byId.get(id), inRoom: () => [] },
    {},
    { marks: { last: 0 }, offsets: createOffsets() },
  );
  const audience = new CountedAudience(...writers);
  const part = { voice: { dialect: nativeDialect(), viewing: 'not-viewing' as const }, isRaw: false, audience };
  const socketIds = [...byId.keys()].slice(1);
  const typing = sendings(part, { name: 'typing', payload: {} }, { socketIds, instead: undefined });
  expect(typing?.map(({ instead }) => instead?.size)).toEqual([999]);
  expect(audience.looks).toBe(0);
  const instead = { name: 'group-head', payload: {} };
  const both = sendings(part, { name: 'new-message', payload: {} }, { socketIds, instead });
  expect(both?.map(({ event, audience: those }) => [event.name, those.length])).toEqual([
    ['new-message', 1_000],
    ['group-head', 999],
  ]);
  expect(audience.looks).toBe(1);
});
