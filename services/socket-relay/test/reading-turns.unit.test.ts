import { until } from '@groupcast/testing';
import { expect, test } from 'vitest';
import { createReadingTurns } from '../src/engine/reading-turns.ts';

function reader(name: string, log: string[]) {
  return { pause: () => void log.push(`${name} waits`), resume: () => void log.push(`${name} reads`) };
}

test('a limited number read on in a turn, the newest first, and the oldest with them', async () => {
  const turns = createReadingTurns({ perTurn: 2 });
  const log: string[] = [];
  for (const name of ['a', 'b', 'c', 'd', 'e']) turns.wait(reader(name, log));
  expect(log.splice(0)).toEqual(['a waits', 'b waits', 'c waits', 'd waits', 'e waits']);
  await until('the first turn', () => log.length > 0);
  expect(log.slice(0, 2)).toEqual(['e reads', 'a reads']);
  await until('all turns', () => log.length === 5);
  expect(log).toEqual(['e reads', 'a reads', 'd reads', 'b reads', 'c reads']);
});

test('a reader that needs no turn any more reads on at once, and only once', async () => {
  const turns = createReadingTurns({ perTurn: 1 });
  const log: string[] = [];
  const [first, second] = [reader('first', log), reader('second', log)];
  turns.wait(first);
  turns.wait(second);
  turns.end(first);
  expect(log).toEqual(['first waits', 'second waits', 'first reads']);
  turns.end(first);
  await until('the other', () => log.includes('second reads'));
  turns.end(second);
  expect(log).toEqual(['first waits', 'second waits', 'first reads', 'second reads']);
});

test('nobody reads on while there is no room', async () => {
  let room = 0;
  let asked = 0;
  const turns = createReadingTurns({
    hasRoom: () => {
      asked += 1;
      room -= 1;
      return room >= 0;
    },
  });
  const log: string[] = [];
  for (const name of ['a', 'b', 'c']) turns.wait({ pause: () => undefined, resume: () => void log.push(name) });
  await until('it to be asked again and again', () => asked > 2);
  expect(log).toEqual([]);
  room = 1;
  await until('the newest', () => log.length > 0);
  expect(log).toEqual(['c']);
  room = 100;
  await until('the others', () => log.length === 3);
});

test('readers that come back again and again keep an older one waiting for a turn, and no longer', async () => {
  const turns = createReadingTurns();
  let isServed = false;
  turns.wait({ pause: () => undefined, resume: () => void (isServed = true) });
  const back: { pause: () => void; resume: () => void }[] = Array.from({ length: 4 }, () => ({
    pause: () => undefined,
    resume() {
      if (!isServed) turns.wait(this);
    },
  }));
  for (const each of back) turns.wait(each);
  await until('the older one', () => isServed);
});
