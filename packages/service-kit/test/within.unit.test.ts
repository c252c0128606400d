import { expect, test, vi } from 'vitest';
import { TimedOut, within } from '../src/within.ts';

test('work that is done in time settles as it does, and leaves no timer behind', async () => {
  vi.useFakeTimers();
  try {
    await expect(within(1_000, Promise.resolve(7), 'a number')).resolves.toBe(7);
    await expect(within(1_000, Promise.reject(new Error('no')), 'a number')).rejects.toThrow('no');
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test('work that is late rejects with what was waited for, and for how long', async () => {
  const never = new Promise<never>(() => undefined);
  const late = within(1, never, 'the database');
  await expect(late).rejects.toBeInstanceOf(TimedOut);
  await expect(late).rejects.toThrow('waited 1 ms for the database');
});

test('a rejection of late work is not an unhandled one', async () => {
  const unhandled = vi.fn<() => void>();
  process.on('unhandledRejection', unhandled);
  try {
    let fail: (error: Error) => void = () => undefined;
    const work = new Promise<never>((_resolve, reject) => {
      fail = reject;
    });
    await expect(within(1, work, 'the database')).rejects.toBeInstanceOf(TimedOut);
    fail(new Error('connection lost'));
    // Node reports unhandled rejections before the next turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).not.toHaveBeenCalled();
  } finally {
    process.off('unhandledRejection', unhandled);
  }
});
