import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SOURCES = fileURLToPath(new URL('../src', import.meta.url));
const CALL = /\.(?:query|script)(?:<[^(]*>)?\(/;

/** Lines that send a statement, each with its file. */
function statementsIn(file: string): string[] {
  const lines = readFileSync(join(SOURCES, file), 'utf8').split('\n');
  return lines.flatMap((line) => (CALL.test(line) ? [`${file}: ${line.trim()}`] : []));
}

test('only stores and the database folder send statements to the database', () => {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const isStore = (file: string): boolean => file.endsWith('-store.ts') || file.startsWith('db/');
  expect(files.filter(isStore).flatMap(statementsIn).length).toBeGreaterThan(30);
  expect(files.filter((file) => !isStore(file)).flatMap(statementsIn)).toEqual([]);
});
