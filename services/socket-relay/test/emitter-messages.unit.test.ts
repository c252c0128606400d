import { expect, test } from 'vitest';
import { createEmitterReader } from '../src/transient/emitter-messages.ts';

/** The beginning of a list of three, as MessagePack. */
const LIST = Buffer.from([0x93]);
/** A byte that means nothing in MessagePack. */
const NOTHING = Buffer.from([0xc1]);

function named(name: string): Buffer {
  return Buffer.concat([LIST, Buffer.from([0xa0 + name.length]), Buffer.from(name), NOTHING]);
}

test('what servers of another application tell each other over the same Redis is not decoded', () => {
  const read = createEmitterReader();
  expect(read(named('server'))).toBeUndefined();
  expect(read(Buffer.from('["server",{'))).toBeUndefined();
  expect(() => read(named('emitter'))).toThrow();
  expect(() => read(Buffer.from('["emitter",{'))).toThrow();
});
