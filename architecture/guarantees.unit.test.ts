import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { documents } from '../e2e/documented/code-blocks.ts';
import { parsedFiles, ROOT, titlesOf } from './source-tree.ts';

/** Every guarantee of docs/guarantees.md, with the test files and folders that its last paragraph names. */
function guarantees(): Map<string, string[]> {
  const text = readFileSync(join(ROOT, 'docs/guarantees.md'), 'utf8');
  const sections = [...text.matchAll(/^### (G\d+)\n\n(?:(?!^Held by)[^#])+^Held by ((?:.+\n)+)/gm)];
  return new Map(sections.map(([, number = '', heldBy = '']) => [number, pathsOf(heldBy)]));
}

/** `…/x` is in the folder of the file before it; a command is no path, and is left out. */
function pathsOf(heldBy: string): string[] {
  const paths: string[] = [];
  for (const [, named = ''] of heldBy.matchAll(/`([^`]+)`/g)) {
    const before = paths.at(-1) ?? '';
    const path = named.replace(/^…/, before.slice(0, before.lastIndexOf('/')));
    if (path.includes('/') && !path.includes(' ')) paths.push(path);
  }
  return paths;
}

/** The numbers at the end of a title: `… (G3, G17)`. */
function numbersIn(title: string): string[] {
  return / \((G\d+(?:, G\d+)*)\)$/.exec(title)?.[1]?.split(', ') ?? [];
}

describe('the guarantees of docs/guarantees.md', () => {
  const promised = guarantees();
  const tests = parsedFiles().filter(({ path }) => /\.(?:test|suite)\.tsx?$/.test(path));
  const named = tests.flatMap((file) =>
    titlesOf(file).flatMap((title) => numbersIn(title).map((number) => ({ number, title, path: file.path }))),
  );

  test('are numbered from one on, each number once', () => {
    expect([...promised.keys()]).toEqual(Array.from(promised, (_, index) => `G${index + 1}`));
    expect(promised.size).toBeGreaterThan(60);
  });

  test('have a test with their number in every file that their row names', () => {
    const faults = [...promised].flatMap(([number, paths]) => {
      if (paths.length === 0) return [`${number} names no test`];
      return paths
        .filter((path) => !named.some((each) => each.number === number && isIn(each.path, path)))
        .map((path) => `${number}: no title in ${path}${existsSync(join(ROOT, path)) ? '' : ', which does not exist'}`);
    });
    expect(faults).toEqual([]);
  });

  test('are what the numbers in titles name, each in a file of its row', () => {
    const faults = named.filter(({ number, path }) => !promised.get(number)?.some((file) => isIn(path, file)));
    expect(faults.map(({ number, path, title }) => `${path}: “${title}”: ${number} does not name it`)).toEqual([]);
  });

  test('are what documents name by such a number', () => {
    const faults = documents().flatMap((file) =>
      [...readFileSync(join(ROOT, file), 'utf8').matchAll(/\bG\d+\b/g)]
        .filter(([number]) => !promised.has(number))
        .map(([number]) => `${file}: ${number} is no guarantee`),
    );
    expect(faults).toEqual([]);
  });

  test('stand at the end of a title, in parentheses, or not in it', () => {
    const misplaced = tests.flatMap((file) =>
      titlesOf(file)
        .filter((title) => /\bG\d+\b/.test(title) && numbersIn(title).length === 0)
        .map((title) => `${file.path}: “${title}”`),
    );
    expect(misplaced).toEqual([]);
    expect(numbersIn('reads G3 (G3, G17)')).toEqual(['G3', 'G17']);
  });
});

function isIn(path: string, fileOrFolder: string): boolean {
  return path === fileOrFolder || path.startsWith(`${fileOrFolder}/`);
}
