import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as ws from 'ws';
import { createFrameParser, seqOf } from '../driver/frame-parser.ts';

/** Not in the typings of ws. */
const { Sender } = ws as unknown as { Sender: { frame: (payload: Buffer, options: object) => Buffer[] } };

function frame(payload: Buffer): Buffer {
  return Buffer.concat(Sender.frame(payload, { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: true }));
}

/** Cuts `stream` at the given places, and hands the pieces over in one buffer that is used again and again. */
function feed(stream: Buffer, cuts: readonly number[]): { first: number; payload: string }[] {
  const frames: { first: number; payload: string }[] = [];
  const parse = createFrameParser((first, bytes, start, end) => {
    frames.push({ first, payload: bytes.toString('latin1', start, end) });
  });
  const shared = Buffer.alloc(stream.length);
  const places = [...cuts.map((cut) => cut % (stream.length + 1)), stream.length].toSorted((a, b) => a - b);
  let from = 0;
  for (const to of places) {
    stream.copy(shared, 0, from, to);
    parse(shared, to - from);
    shared.fill(0xff);
    from = to;
  }
  return frames;
}

/** Lengths around those at which the head of a frame grows. */
const sizes = fc.oneof(
  fc.nat(300),
  fc.constantFrom(0, 125, 126, 65_535, 65_536),
  fc.integer({ min: 65_000, max: 70_000 }),
);

test('finds the frames that ws writes, wherever the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(sizes, { minLength: 1, maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (lengths, cuts) => {
        const payloads = lengths.map((length, n) => Buffer.alloc(length, 0x61 + n));
        const frames = feed(Buffer.concat(payloads.map(frame)), cuts);
        expect(frames).toEqual(payloads.map((payload) => ({ first: 0x81, payload: payload.toString('latin1') })));
      },
    ),
    { numRuns: 200 },
  );
});

test('finds frames that come byte by byte', () => {
  const stream = Buffer.concat(['', 'a', 'b'.repeat(126), 'c'.repeat(66_000)].map((text) => frame(Buffer.from(text))));
  const frames = feed(
    stream,
    Array.from({ length: stream.length }, (_, n) => n),
  );
  expect(frames.map(({ payload }) => payload.length)).toEqual([0, 1, 126, 66_000]);
});

test('refuses a masked frame', () => {
  const parse = createFrameParser(() => undefined);
  expect(() => parse(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x61]), 7)).toThrow('masked');
});

test.each([
  ['42["new-message",{"groupId":"g","seq":1}]', 1],
  ['42["new-message",{"seq":4294967296}]', 4_294_967_296],
  ['{"data":{"seq":12}}}\r\n', 12],
  ['42["new-message",{"seq":3,"content":"x"}]', 3],
  ['42["new-message",{"seq":345,"content":"7"}]', 345],
  ['42["new-message",{"content":"3"}]', Number.NaN],
  ['42["new-message",{"sum":3}]', Number.NaN],
  ['', Number.NaN],
])('the position of %s is %d', (text, seq) => {
  // The bytes around it in the reader's buffer are not looked at.
  const bytes = Buffer.from(`"seq":8${text}"seq":9`);
  expect(seqOf(bytes, 7, bytes.length - 7)).toBe(seq);
});
