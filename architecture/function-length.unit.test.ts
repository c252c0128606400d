import { describe, expect, test } from 'vitest';
import { longestFunctions } from './longest-functions.ts';
import { type FunctionInfo, parse, parsedFiles } from './source-tree.ts';

/** Most lines of a function, those of functions inside it included: a factory has one state, and all that changes it. */
const MOST_LINES = 200;
/** Most lines of a function without those of functions inside it. One with more is several steps, each of which deserves a name. */
const MOST_OWN_LINES = 75;

/** Functions with more lines than that, by name, with the reason why each is best whole. */
const BEST_WHOLE: Readonly<Record<string, string>> = {
  createMemoryGroupLog: 'one sum of bytes over three maps, which fifteen short functions keep right together',
};

/** Functions with more lines of their own than that, by name, with the reason. */
const ONE_LIST: Readonly<Record<string, string>> = {
  buildRelay: 'builds the parts of the relay, each once, in order',
  createClient: 'builds the parts of the client, each once, in order',
  createApiMetrics: 'one entry for each metric of the API',
};

describe('the functions of all sources', () => {
  const functions = longestFunctions(parsedFiles());
  const namesOf = (some: readonly FunctionInfo[]): string[] => some.map(({ name }) => name).toSorted();

  test(`have at most ${MOST_LINES} lines, unless it is said why`, () => {
    expect(functions.length).toBeGreaterThan(3000);
    expect(namesOf(functions.filter(({ lines }) => lines > MOST_LINES))).toEqual(Object.keys(BEST_WHOLE).toSorted());
  });

  test(`have at most ${MOST_OWN_LINES} lines of their own, unless it is said why`, () => {
    const long = functions.filter(({ ownLines }) => ownLines > MOST_OWN_LINES);
    expect(namesOf(long)).toEqual(Object.keys(ONE_LIST).toSorted());
  });
});

test('the lines of a function are counted from its first to its last, and are its own but for the functions inside it', () => {
  const text = `/** What it does. */
export function outer() {
  const inner = async () => {
    run();
    return list.map((each) => each.id);
  };
  class A {
    constructor() {}
  }
}
`;
  const found = longestFunctions(parse([], { 'packages/x/src/y.ts': text }));
  expect(found.map(({ name, line, lines, ownLines }) => [name, line, lines, ownLines])).toEqual([
    ['outer', 2, 9, 6],
    ['inner', 3, 4, 4],
    ['list.map(…)', 5, 1, 1],
    ['constructor', 8, 1, 1],
  ]);
});
