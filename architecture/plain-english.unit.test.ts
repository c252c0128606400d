import { expect, test } from 'vitest';
import { parsedFiles, titlesOf } from './source-tree.ts';

// A sentence has a noun for its subject: “a user who is back in a moment”, and not “who is back in a moment”.
const IN_A_TITLE = /\b(?:whoever|whomever)\b|^(?:… )?(?:who|whom|what) |[;:] (?:who|what) |\bso (?:long|many|much)\b/i;
const IN_A_COMMENT = /\bwhoever\b|^(?:Who|Whom|What|Whatever)\b(?!.*\?$)|^So (?:long|many|much)\b/;

/** The first line of each comment, without its marks. */
function commentsIn(text: string): string[] {
  const lines = text.matchAll(/^\s*(?:\/\/|\/\*\*) (.*?)(?: \*\/)?$|^\s*\/\*\*\n\s*\* (.*)$/gm);
  return Array.from(lines, ([, line, first]) => line ?? first ?? '');
}

test('the title of a test has a noun for its subject, and no word in its place', () => {
  const tests = parsedFiles().filter(({ path }) => /\.(?:test|suite)\.tsx?$/.test(path));
  const titles = tests.flatMap((file) => titlesOf(file).map((title) => ({ path: file.path, title })));
  expect(titles.length).toBeGreaterThan(1500);
  const faults = titles.filter(({ title }) => IN_A_TITLE.test(title));
  expect(faults.map(({ path, title }) => `${path}: “${title}”`)).toEqual([]);
});

test('a comment begins with a noun or a verb, and no word in its place', () => {
  const comments = parsedFiles().flatMap(({ path, tree }) => commentsIn(tree.text).map((text) => ({ path, text })));
  expect(comments.length).toBeGreaterThan(3000);
  const faults = comments.filter(({ text }) => IN_A_COMMENT.test(text));
  expect(faults.map(({ path, text }) => `${path}: ${text}`)).toEqual([]);
});

test('the words are found where they stand for a noun, and left alone where they do not', () => {
  const titles = [
    'who is back was never gone',
    '… what it was',
    'asks whoever is there',
    'one is gone; who stays is told',
  ];
  expect(titles.filter((title) => !IN_A_TITLE.test(title))).toEqual([]);
  const fine = ['a user who is back was never gone', 'says what it does', 'whose answers were lost', 'is so large'];
  expect(fine.filter((title) => IN_A_TITLE.test(title))).toEqual([]);
  const comments = commentsIn(
    '/** What it holds. */\n  // Who knocks.\n  /**\n   * What is\n   * What else\n   */\n// What for?\n',
  );
  expect(comments).toEqual(['What it holds.', 'Who knocks.', 'What is', 'What for?']);
  expect(comments.filter((text) => IN_A_COMMENT.test(text))).toEqual(['What it holds.', 'Who knocks.', 'What is']);
});
