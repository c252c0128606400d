import { describe, expect, test } from 'vitest';
import { BodyTooLarge, readBytes } from '../src/bounded-body.ts';

const bytes = (...sizes: number[]): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start(controller) {
      for (const size of sizes) controller.enqueue(new Uint8Array(size).fill(size));
      controller.close();
    },
  });

describe('a body', () => {
  test('is read to its end, in order', async () => {
    expect([...(await readBytes(bytes(1, 2, 3), 6))]).toEqual([1, 2, 2, 3, 3, 3]);
    expect([...(await readBytes(bytes(), 6))]).toEqual([]);
    expect([...(await readBytes(null, 6))]).toEqual([]);
  });

  test('that has a byte too many is not read further, and its source is told', async () => {
    let asked = 0;
    let cancelled: unknown;
    const stream = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          asked += 1;
          controller.enqueue(new Uint8Array(4));
        },
        cancel(reason) {
          cancelled = reason;
        },
      },
      { highWaterMark: 0 },
    );
    const refused = await readBytes(stream, 7).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(BodyTooLarge);
    expect(refused).toMatchObject({ maxBytes: 7 });
    expect(asked).toBe(2);
    expect(cancelled).toBe(refused);
  });

  test('that fails fails its reader', async () => {
    const broken = new ReadableStream<Uint8Array>({ start: (controller) => controller.error(new Error('cut')) });
    await expect(readBytes(broken, 7)).rejects.toThrow('cut');
  });
});
