import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Rollup } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const INDEX = join(PACKAGE, 'src/index.ts');
const { exports: subpaths } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8')) as {
  exports: Record<string, { '@groupcast/source': string } | string>;
};
const SUBPATHS = Object.entries(subpaths).flatMap(([name, to]) =>
  name === '.' || typeof to === 'string' ? [] : [[name, to['@groupcast/source']] as const],
);

/** The modules that a bundle for browsers, made of `entry`, consists of, and those that are left out of it. */
async function bundleFor(entry: string): Promise<{ modules: string[]; leftOut: string[] }> {
  const modules = new Set<string>();
  const output = (await build({
    configFile: false,
    envFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      lib: { entry, formats: ['es'], fileName: 'bundle' },
    },
    plugins: [
      {
        name: 'record-modules',
        moduleParsed: ({ id, importedIds, dynamicallyImportedIds }) => {
          for (const name of [id, ...importedIds, ...dynamicallyImportedIds]) modules.add(name);
        },
      },
    ],
  })) as Rollup.RollupOutput[];
  const chunks = output.flatMap((bundle) => bundle.output).filter((file) => file.type === 'chunk');
  if (chunks.length === 0) throw new Error('vite built nothing');
  const leftOut = chunks.flatMap(({ imports, dynamicImports, fileName }) =>
    [...imports, ...dynamicImports].filter(
      (name) => name !== fileName && !chunks.some((chunk) => chunk.fileName === name),
    ),
  );
  return { modules: [...modules], leftOut };
}

/** Modules of Node that a bundle for browsers made of `entry` would need: left out of it, or replaced by a stub. */
async function neededFromNode(entry: string): Promise<string[]> {
  const { modules, leftOut } = await bundleFor(entry);
  const fromNode = modules.filter((id) => isBuiltin(id) || id.includes('node:') || id.includes('browser-external'));
  return [...new Set([...leftOut, ...fromNode])];
}

describe('@groupcast/shared', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'groupcast-browser-safe-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  test('builds for a browser without anything from Node', async () => {
    expect(await neededFromNode(INDEX)).toEqual([]);
  });

  test.each(SUBPATHS)('its subpath %s brings no schema library', async (_, source) => {
    const { modules, leftOut } = await bundleFor(join(PACKAGE, source));
    expect([...modules, ...leftOut].filter((id) => /\bzod\b/.test(id))).toEqual([]);
    expect((await bundleFor(INDEX)).modules.some((id) => /\bzod\b/.test(id))).toBe(true);
  });

  test.each([
    ['node:fs', `import { readFileSync } from 'node:fs'; export const read = readFileSync;`],
    ['crypto', `import * as crypto from 'crypto'; export const id = crypto.randomUUID;`],
    ['node:os', `export const load = () => import('node:os');`],
    ['node:path', `import 'node:path'; export const nothing = 1;`],
  ])('would not pass this check with an import of %s', async (name, code) => {
    const entry = join(folder, `${name.replace(':', '-')}.ts`);
    writeFileSync(entry, code);
    expect((await neededFromNode(entry)).join()).toContain(name);
  });
});
