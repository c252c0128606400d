import { describe, expect, test } from 'vitest';
import { createKeyedTopic, createStore, createTopic } from '../src/base/store.ts';

const never = (error: unknown): void => {
  throw error;
};

describe('listeners', () => {
  test('10,000 rounds of subscribing and leaving leave nothing behind', () => {
    const topic = createTopic<number>(never);
    const keyed = createKeyedTopic<number>(never);
    for (let round = 0; round < 10_000; round += 1) {
      const stops = [topic.subscribe(never), keyed.subscribe(`key-${round}`, never), keyed.subscribe('same', never)];
      for (const stop of stops) stop();
      for (const stop of stops) stop();
    }
    expect([topic.size, keyed.size]).toEqual([0, 0]);
    topic.emit(1);
    keyed.emit('same', 1);
  });

  test('one function subscribed twice is two listeners with two ends', () => {
    const heard: number[] = [];
    const listener = (value: number): void => void heard.push(value);
    const topic = createTopic<number>(never);
    const stop = topic.subscribe(listener);
    topic.subscribe(listener);
    stop();
    stop();
    topic.emit(1);
    expect(heard).toEqual([1]);
  });

  test('one that throws disturbs nobody; one that left during a call is not called', () => {
    const errors: unknown[] = [];
    const heard: string[] = [];
    const topic = createTopic<void>((error) => errors.push(error));
    topic.subscribe(() => {
      stopLast();
      throw new Error('listener');
    });
    topic.subscribe(() => void heard.push('second'));
    const stopLast = topic.subscribe(() => void heard.push('last'));
    topic.emit();
    expect([heard, errors.length]).toEqual([['second'], 1]);
  });

  test('a store tells of another object only', () => {
    const store = createStore({ n: 1 }, never);
    let calls = 0;
    store.subscribe(() => {
      calls += 1;
    });
    store.set(store.getSnapshot());
    expect(calls).toBe(0);
    store.set({ n: 1 });
    expect(calls).toBe(1);
  });
});
