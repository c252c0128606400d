import fc from 'fast-check';
import { Encoder, PacketType } from 'socket.io-parser';
import { expect, test } from 'vitest';
import { eventPacket, rawText, readRawFrame } from '../src/engine/raw-frames.ts';
import { readSentPacket } from '../src/engine/raw-packets.ts';

const parsed = (text: string): unknown => JSON.parse(text);

test.each<[payload: unknown, frame: object]>([
  [{ a: 1 }, { type: 'x', a: 1 }],
  [{}, { type: 'x' }],
  [undefined, { type: 'x' }],
  [{ payload: 1 }, { type: 'x', payload: 1 }],
  ['text', { type: 'x', payload: 'text' }],
  [null, { type: 'x', payload: null }],
  [[1], { type: 'x', payload: [1] }],
  [
    { type: 'mine', a: 1 },
    { type: 'x', payload: { type: 'mine', a: 1 } },
  ],
  [
    { type: undefined, a: 1 },
    { type: 'x', payload: { a: 1 } },
  ],
  [new Date(0), { type: 'x', payload: '1970-01-01T00:00:00.000Z' }],
])('an event with the payload %j is the frame %j', (payload, frame) => {
  expect(parsed(rawText('x', payload))).toEqual(frame);
});

test('a frame is read as what a client has sent, whatever its fields are called', () => {
  const frame = (text: string) => readRawFrame(text) as Exclude<ReturnType<typeof readRawFrame>, string>;
  const data = (text: string): unknown => eventPacket(frame(text))?.data;
  expect(eventPacket(frame('{"type":"e","id":0,"a":1}'))).toEqual({ type: 2, nsp: '/', id: 0, data: ['e', { a: 1 }] });
  expect(data('{"type":"e"}')).toEqual(['e']);
  expect(data('{"type":"e","id":1}')).toEqual(['e']);
  expect(data('{"type":"e","payload":"7"}')).toEqual(['e', '7']);
  expect(data('{"type":"e","payload":{"type":"t","id":2}}')).toEqual(['e', { type: 't', id: 2 }]);
  expect(data('{"type":"e","payload":1,"a":1}')).toEqual(['e', { payload: 1, a: 1 }]);
  for (const id of ['"x"', '1.5', '-1', '9007199254740991', 'null', '[1]']) {
    expect(eventPacket(frame(`{"type":"e","id":${id}}`))).toEqual({
      type: 2,
      nsp: '/',
      data: ['e', { id: JSON.parse(id) }],
    });
  }
  for (const name of ['connect', 'disconnect', 'connect_error', 'disconnecting', 'newListener', 'removeListener']) {
    expect(eventPacket(frame(`{"type":"${name}"}`))).toBeUndefined();
  }
  expect(Object.getPrototypeOf(frame('{"type":"e","__proto__":{"a":1}}').fields)).toBe(Object.prototype);
});

test('every payload comes back from the packet that Socket.IO’s server makes of it', () => {
  const encoder = new Encoder();
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), fc.nat(), (name, payload, id) => {
      const plain = JSON.parse(JSON.stringify(payload)) as unknown;
      const [event] = encoder.encode({ type: PacketType.EVENT, nsp: '/', data: [name, payload] }) as string[];
      expect(readSentPacket(event ?? '')).toEqual({ kind: 'event', name, payload: plain });
      const [answer] = encoder.encode({ type: PacketType.ACK, nsp: '/', id, data: [payload] }) as string[];
      expect(readSentPacket(answer ?? '')).toEqual({ kind: 'answer', id, answer: plain });
    }),
  );
});

test('bytes in a payload are null: JSON has none', () => {
  const data = ['e', { a: Buffer.from([1]), b: [Buffer.from([2]), 3] }];
  const [head] = new Encoder().encode({ type: PacketType.EVENT, nsp: '/', data });
  expect(readSentPacket(head as string)).toEqual({ kind: 'event', name: 'e', payload: { a: null, b: [null, 3] } });
});
