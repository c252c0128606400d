import { expect, test } from 'vitest';
import { createEmitterReader } from '../src/transient/emitter-messages.ts';

/** The beginning of a list of three, as MessagePack. */
const LIST = Buffer.from([0x93]);
/** A byte that means nothing in MessagePack. */
const NOTHING = Buffer.from([0xc1]);

function named(name: string): Buffer {
  return Buffer.concat([LIST, Buffer.from([0xa0 + name.length]), Buffer.from(name), NOTHING]);
}

test('messages between servers of another application on the same Redis are not decoded', () => {
  const read = createEmitterReader();
  expect(read(named('server'))).toBeUndefined();
  expect(read(Buffer.from('["server",{'))).toBeUndefined();
  expect(() => read(named('emitter'))).toThrow('Could not parse');
  expect(() => read(Buffer.from('["emitter",{'))).toThrow('JSON');
});
