import { pino } from 'pino';
import { expect, test } from 'vitest';
import { logKeyProblems } from '../src/index.ts';

test('keys that are used although they are old are a warning, and keys that refuse tokens an error, each once a minute', () => {
  const lines: { level: number; msg: string }[] = [];
  const tell = logKeyProblems(pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }));
  for (const name of ['KeySetStale', 'KeySetUnreadable', 'KeyUnusable']) {
    const problem = Object.assign(new Error('away'), { name });
    tell(problem);
    tell(problem);
  }
  expect(lines.map(({ level, msg }) => [level, /checked with the keys that were read last/.test(msg)])).toEqual([
    [40, true],
    [50, false],
    [50, false],
  ]);
});
