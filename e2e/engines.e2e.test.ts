import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

interface Manifest {
  engines?: { node?: string };
  version?: string;
  link?: boolean;
}

const read = <T>(file: string): T => JSON.parse(readFileSync(file, 'utf8')) as T;
const { engines } = read<Manifest>('package.json');
const { packages } = read<{ packages: Record<string, Manifest> }>('package-lock.json');
/** The oldest Node that is promised. */
const OLDEST = /^>=(\d+\.\d+)$/.exec(engines?.node ?? '')?.[1] ?? 'none';

/** Every number of a version; a missing one is 0. */
const numbersOf = (version: string): number[] =>
  [...version.split('.').map(Number), 0, 0].slice(0, 3).map((part) => (Number.isNaN(part) ? 0 : part));

function compare(a: string, b: string): number {
  const [left, right] = [numbersOf(a), numbersOf(b)];
  const differs = left.findIndex((part, index) => part !== right[index]);
  return differs < 0 ? 0 : (left[differs] ?? 0) - (right[differs] ?? 0);
}

/** Tells whether an npm range admits the version. Throws at a range that it does not understand. */
function admits(range: string, version: string): boolean {
  return range.split('||').some((alternative) =>
    alternative
      .trim()
      .replaceAll(/([<>=^~]+)\s+/g, '$1')
      .split(/\s+/)
      .every((comparator) => {
        const [, operator = '', written = ''] =
          /^(>=|<=|<|>|\^|~|=|)v?(\d+(?:\.(?:\d+|x))*|\*|)$/.exec(comparator) ?? [];
        const bound = written.replace(/\.x.*$/, '');
        if (!operator && !bound && comparator !== '' && comparator !== '*')
          throw new Error(`unable to read "${range}"`);
        if (bound === '' || bound === '*') return true;
        const order = compare(version, bound);
        if (operator === '>=') return order >= 0;
        if (operator === '>') return order > 0;
        if (operator === '<') return order < 0;
        if (operator === '<=') return order <= 0;
        const [major, minor] = numbersOf(version);
        const [boundMajor, boundMinor] = numbersOf(bound);
        const sameMinor = operator === '^' || !bound.includes('.') || minor === boundMinor;
        return order >= 0 && major === boundMajor && sameMinor;
      }),
  );
}

describe('the Node that is promised', () => {
  test('is the same for every package of this repository', () => {
    const own = Object.entries(packages).filter(([path]) => path !== '' && !path.includes('node_modules/'));
    expect(own.length).toBeGreaterThan(8);
    const promised = own.flatMap(([path]) => read<Manifest>(`${path}/package.json`).engines?.node ?? []);
    expect(promised.filter((node) => node !== engines?.node)).toEqual([]);
  });

  test('is enough for every dependency in the lock', () => {
    const asked = Object.entries(packages).filter(([path]) => path.includes('node_modules/'));
    expect(asked.length).toBeGreaterThan(200);
    const tooNew = asked
      .filter(([, { engines: of }]) => of?.node !== undefined && !admits(of.node, OLDEST))
      .map(([path, { version, engines: of }]) => `${path} ${version} wants Node ${of?.node}`);
    expect(tooNew).toEqual([]);
  });

  test('… and a dependency that wants a newer one would be found', () => {
    const found = ['>=22', '>= 22.1', '^22.0.0 || >=24', '20.20', '>20.19', '~20.18.0', '<20'].filter((range) =>
      admits(range, '20.19'),
    );
    expect(found).toEqual([]);
    const fine = [
      '>=20.19',
      '^20.19.0 || >=22.12.0',
      '18 || 20 || >=22',
      '*',
      '>= 0.6',
      '20.x',
      '>=14 <25',
      '~20.19.0',
    ];
    expect(fine.filter((range) => !admits(range, '20.19'))).toEqual([]);
    expect(() => admits('what', '20.19')).toThrow('unable to read');
  });
});
