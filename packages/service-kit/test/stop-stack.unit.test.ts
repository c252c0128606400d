import { expect, test } from 'vitest';
import { createStopStack } from '../src/stop-stack.ts';

test('parts stop one after the other, the last one first', async () => {
  const stops = createStopStack();
  const seen: string[] = [];
  stops.push(() => seen.push('database'));
  stops.push(async () => {
    seen.push('port closing');
    await new Promise((resolve) => setImmediate(resolve));
    seen.push('port closed');
  });
  expect(stops.isStopping).toBe(false);
  const stopped = stops.stop();
  expect(stops.isStopping).toBe(true);
  await stopped;
  expect(seen).toEqual(['port closing', 'port closed', 'database']);
});

test('a part that fails keeps no other from being stopped, and its error is thrown afterwards', async () => {
  const stops = createStopStack();
  const seen: string[] = [];
  const failure = new Error('the port is stuck');
  stops.push(() => seen.push('database'));
  stops.push(async () => Promise.reject(failure));
  await expect(stops.stop()).rejects.toBe(failure);
  expect(seen).toEqual(['database']);
});

test('the errors of several parts are thrown together', async () => {
  const stops = createStopStack();
  const failures = [new Error('first'), new Error('second')];
  stops.push(() => {
    throw failures[1];
  });
  stops.push(async () => Promise.reject(failures[0]));
  await expect(stops.stop()).rejects.toMatchObject({ message: 'unable to stop; 2 parts failed', errors: failures });
});

test('a second call stops nothing twice, and waits for the first one', async () => {
  const stops = createStopStack();
  let count = 0;
  let isStopped = false;
  stops.push(async () => {
    count += 1;
    await new Promise((resolve) => setImmediate(resolve));
    isStopped = true;
  });
  void stops.stop();
  await stops.stop();
  expect([count, isStopped]).toEqual([1, true]);
});

test('a part that starts while others stop is stopped too, and one that starts afterwards is refused', async () => {
  const stops = createStopStack();
  const seen: string[] = [];
  stops.push(() => seen.push('first'));
  stops.push(() => stops.push(() => seen.push('late')));
  await stops.stop();
  expect(seen).toEqual(['late', 'first']);
  expect(() => stops.push(() => undefined)).toThrow('everything has been stopped');
});
