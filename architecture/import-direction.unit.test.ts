import { describe, expect, test } from 'vitest';
import { circles, describeUpward, type Import, importsBetween, importsWithin, unplaced } from './import-graph.ts';
import { LAYERS, PACKAGES } from './layers.ts';
import { packages, parse, parsedFiles } from './source-tree.ts';

const sources = parsedFiles().filter(({ path }) => /^[^/]+\/[^/]+\/src\//.test(path));

/** The files of a package, named from its `src`. */
function filesOf(name: string): string[] {
  const src = `${name}/src/`;
  return sources.flatMap(({ path }) => (path.startsWith(src) ? [path.slice(src.length)] : []));
}

describe('the layers of the packages', () => {
  test('every package stands in a layer', () => {
    expect(unplaced(packages(), PACKAGES)).toEqual([]);
  });

  test('every import from one package to another points down', () => {
    const imports = importsBetween(packages(), sources);
    expect(imports.length).toBeGreaterThan(150);
    expect(describeUpward(imports, PACKAGES)).toEqual([]);
  });
});

describe('the layers within a package', () => {
  test('every package that has folders has its layers listed', () => {
    const divided = packages().filter((name) => filesOf(name).some((file) => file.includes('/')));
    expect(Object.keys(LAYERS).toSorted()).toEqual(divided.toSorted());
  });

  test('every file stands in a layer, and every layer has files', () => {
    const faults = Object.entries(LAYERS).flatMap(([name, layers]) =>
      unplaced(filesOf(name), layers).map((fault) => `${name}: ${fault}`),
    );
    expect(faults).toEqual([]);
  });

  test('every import points down', () => {
    const faults = Object.entries(LAYERS).flatMap(([name, layers]) =>
      describeUpward(importsWithin(name, sources), layers).map((fault) => `${name}: ${fault}`),
    );
    expect(faults).toEqual([]);
  });

  test('no files import each other in a circle', () => {
    const imports = packages().map((name) => ({ name, imports: importsWithin(name, sources) }));
    expect(imports.flatMap((each) => each.imports).length).toBeGreaterThan(700);
    const faults = imports.flatMap(({ name, imports: within }) =>
      circles(within).map((circle) => `${name}: ${[...circle, circle[0]].join(' -> ')}`),
    );
    expect(faults).toEqual([]);
  });
});

describe('the graph of imports', () => {
  test('an import of every form is one', () => {
    const text = `import type { A } from './a.ts'; export * from './b.ts'; type C = import('./c.ts').C; import './d.ts';
      export type { E } from './e.ts'; const f = () => import('./f.ts'); const g = "import './not.ts'"; // import './nor.ts'`;
    const found = importsWithin('packages/x', parse([], { 'packages/x/src/y/z.ts': text }));
    expect(found.map(({ to }) => to).toSorted()).toEqual(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `y/${name}.ts`));
  });

  test('the longest entry of the list is where a file stands', () => {
    const layers = ['top.ts', 'folder/inner', 'folder', ['left', 'right']];
    const imports = [
      { from: 'folder/inner/a.ts', to: 'folder/b.ts' },
      { from: 'folder/b.ts', to: 'folder/inner/a.ts' },
      { from: 'left/c.ts', to: 'right/d.ts' },
      { from: 'left/c.ts', to: 'left/e.ts' },
      { from: 'top.ts', to: 'right/d.ts' },
    ];
    expect(describeUpward(imports, layers)).toEqual([
      'folder and folder/inner import each other: folder/b.ts -> folder/inner/a.ts',
      'left imports right, which is not below it: left/c.ts -> right/d.ts',
    ]);
    expect(circles(imports)).toEqual([['folder/inner/a.ts', 'folder/b.ts']]);
  });

  test('a circle is said by its shortest way, and circles that share no import each by itself', () => {
    const circle = (...files: string[]): Import[] =>
      files.map((from, index) => ({ from, to: files[(index + 1) % files.length] ?? '' }));
    const imports = [...circle('a', 'b', 'c'), ...circle('c', 'd'), { from: 'x', to: 'a' }, { from: 'd', to: 'y' }];
    expect(circles(imports)).toEqual([
      ['c', 'd'],
      ['a', 'b', 'c'],
    ]);
    expect(circles([{ from: 'a', to: 'a' }])).toEqual([['a']]);
    expect(circles(imports.filter(({ from }) => from !== 'c'))).toEqual([]);
  });
});
