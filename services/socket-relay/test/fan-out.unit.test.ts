import type { Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as ws from 'ws';
import { textFrame, textFrames } from '../src/engine/text-frames.ts';
import { ConnectionWriter } from '../src/fan-out/connection-writer.ts';
import { type Audience, divide, type Sending } from '../src/fan-out/divide.ts';
import { type EncodedEvent, encodeEvent } from '../src/fan-out/encoded-event.ts';
import { FrameBatch } from '../src/fan-out/frame-batch.ts';
import type { RelaySocket } from '../src/sessions/session.ts';

/** Public, but not in its types. */
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable };

/** The messages that a WebSocket peer reads from the bytes. */
async function read(bytes: Buffer): Promise<string[]> {
  const texts: string[] = [];
  const receiver = new Receiver({ isServer: false });
  receiver.on('message', (data: Buffer) => texts.push(data.toString()));
  await new Promise<void>((resolve, reject) => {
    receiver.once('error', reject);
    receiver.end(bytes, () => resolve());
  });
  return texts;
}

function eventOf(n: number, bytes = 0): EncodedEvent {
  return encodeEvent({ name: 'event', payload: { n, text: 'x'.repeat(bytes) } });
}

const numbers = (batch: FrameBatch | undefined): number[] =>
  (batch?.events ?? []).map(({ payload }) => (payload as { n: number }).n);

describe('frames', () => {
  test.each([0, 1, 125, 126, 127, 65_535, 65_536, 200_000])('of %i bytes are what a peer reads', async (length) => {
    const text = 'ä'.repeat(Math.floor(length / 2)) + 'x'.repeat(length % 2);
    expect(Buffer.byteLength(text)).toBe(length);
    expect(await read(textFrame(text))).toEqual([text]);
  });

  test('of several texts in one buffer are what a peer reads, whatever is in them', async () => {
    const lengths = fc.constantFrom(0, 125, 126, 65_535, 65_536);
    const text = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.tuple(lengths, fc.constantFrom('x', 'ä')).map(([length, letter]) => letter.repeat(length)),
    );
    const texts = fc.array(text, { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(texts, async (all) => {
        expect(await read(textFrames(all))).toEqual(all);
      }),
      { numRuns: 50 },
    );
  });

  test('of a batch are all there, in order, however large they are', async () => {
    const sizes = fc.array(fc.oneof(fc.nat(300), fc.constantFrom(65_000, 65_536, 100_000)), {
      minLength: 1,
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(sizes, async (lengths) => {
        const events = lengths.map((length, n) => eventOf(n, length));
        const { buffers } = new FrameBatch(events);
        expect(await read(Buffer.concat(buffers))).toEqual(events.map(({ packets }) => `4${String(packets[0])}`));
      }),
      { numRuns: 50 },
    );
  });

  test('of many small events are one buffer, and there are none where an event has attachments', () => {
    const small = Array.from({ length: 100 }, (_, n) => eventOf(n));
    expect(new FrameBatch(small).buffers).toHaveLength(1);
    const attachment = encodeEvent({ name: 'event', payload: { blob: Buffer.from('x') } });
    expect(new FrameBatch([...small, attachment]).isFramed).toBe(false);
  });
});

describe('a turn', () => {
  /** The members of each room, then the sends with their rooms and the members that they leave out. */
  const script = fc.record({
    rooms: fc.array(fc.uniqueArray(fc.nat(9)), { minLength: 1, maxLength: 5 }),
    turns: fc.array(
      fc.array(
        fc.record({ room: fc.nat(4), except: fc.uniqueArray(fc.nat(9), { maxLength: 3 }), hasInstead: fc.boolean() }),
        {
          maxLength: 8,
        },
      ),
      { maxLength: 3 },
    ),
  });

  test('is divided so that what was sent to a connection is pending for it, in order, over turns that were not flushed (G32)', () => {
    fc.assert(
      fc.property(script, ({ rooms, turns }) => {
        const writers = Array.from({ length: 10 }, () => new ConnectionWriter({} as RelaySocket));
        const audiences: Audience<ConnectionWriter>[] = rooms.map((members) =>
          members.flatMap((index) => writers[index] ?? []),
        );
        const expected: number[][] = writers.map(() => []);
        const queued: ConnectionWriter[] = [];
        let n = 0;
        for (const sends of turns) {
          const turn: Sending<ConnectionWriter>[] = [];
          for (const { room, except, hasInstead } of sends) {
            const audience = audiences[room];
            if (!audience) continue;
            n += 2;
            const replacement = hasInstead ? eventOf(n + 1) : undefined;
            turn.push({
              event: eventOf(n),
              audience,
              instead: new Map(except.flatMap((index) => (writers[index] ? [[writers[index], replacement]] : []))),
            });
            for (const member of rooms[room] ?? []) {
              const got = except.includes(member) ? (replacement ? n + 1 : undefined) : n;
              if (got !== undefined) expected[member]?.push(got);
            }
          }
          queued.push(...divide(turn).flat());
        }
        expect(writers.map(({ pending }) => numbers(pending))).toEqual(expected);
        expect(new Set(queued).size).toBe(queued.length);
        expect(new Set(queued)).toEqual(new Set(writers.filter(({ pending }) => pending)));
        expect(writers.filter(({ audiences: those }) => those)).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test('brings the same batch to all for whom the same is pending, over several turns', () => {
    const writers = Array.from({ length: 4 }, () => new ConnectionWriter({} as RelaySocket));
    const [a, b] = [writers, writers.slice(2)];
    for (let n = 0; n < 3; n += 1) {
      divide([
        { event: eventOf(n), audience: a, instead: undefined },
        { event: eventOf(n + 100), audience: b, instead: undefined },
      ]);
    }
    expect(new Set(writers.map(({ pending }) => pending)).size).toBe(2);
    expect(writers[0]?.pending).toBe(writers[1]?.pending);
    expect(numbers(writers[3]?.pending)).toEqual([0, 100, 1, 101, 2, 102]);
  });
});
