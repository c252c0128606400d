import { expect, test } from 'vitest';
import { parsedFiles, titlesOf } from './source-tree.ts';

/** Words that stand for a noun where a title should have one: “who is back in a moment” for “a user who is back in a moment”. */
const FOR_A_NOUN = /\b(?:whoever|whomever)\b|^(?:… )?(?:who|whom|what) |[;:] (?:who|what) |\bso (?:long|many|much)\b/i;

const titles = parsedFiles()
  .filter(({ path }) => /\.(?:test|suite)\.tsx?$/.test(path))
  .flatMap((file) => titlesOf(file).map((title) => ({ path: file.path, title })));

test('the title of a test has a noun for its subject, and no word in its place', () => {
  expect(titles.length).toBeGreaterThan(1500);
  const faults = titles.filter(({ title }) => FOR_A_NOUN.test(title));
  expect(faults.map(({ path, title }) => `${path}: “${title}”`)).toEqual([]);
});

test('the words are found where they stand for a noun, and left alone where they do not', () => {
  const found = [
    'who is back was never gone',
    '… what it was',
    'asks whoever is there',
    'one is gone; who stays is told',
  ];
  expect(found.filter((title) => !FOR_A_NOUN.test(title))).toEqual([]);
  const others = ['a user who is back was never gone', 'says what it does', 'whose answers were lost', 'is so large'];
  expect(others.filter((title) => FOR_A_NOUN.test(title))).toEqual([]);
});
