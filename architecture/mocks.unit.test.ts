import { expect, test } from 'vitest';
import { parsedFiles } from './source-tree.ts';

test('a test that replaces a module says so in its name, by which it has a process of its own', () => {
  const tests = parsedFiles().filter(({ path }) => path.endsWith('.test.ts'));
  const replacing = tests.filter(({ tree }) => /\bvi\s*\.\s*(?:do)?mock\(/i.test(tree.text));
  const named = tests.filter(({ path }) => path.endsWith('.mocks.int.test.ts'));
  expect(named.length).toBeGreaterThan(0);
  expect(replacing.map(({ path }) => path)).toEqual(named.map(({ path }) => path));
});
