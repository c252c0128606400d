import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { System } from '@groupcast/testing';
import { type Cell, FORMATS, type Format, node, PACKAGES, type Package } from './cells.ts';
import { copyProgram, environment, idOf, runProgram } from './programs.ts';
import { REACT, TYPES, type Workshop, write } from './workshop.ts';

interface Compiler {
  tool: string;
  /** Its package, as it is installed. */
  typescript: 'typescript' | 'typescript-5.4';
  options: Readonly<Record<Format, object>>;
}

const alike = (module: string): Compiler['options'] => {
  const options = { module, moduleResolution: module };
  return { ESM: options, CJS: options };
};

/** TypeScript 7 has no `node10`: it is judged with the oldest release that is promised, and so is `node16`. */
const COMPILERS: readonly Compiler[] = [
  {
    tool: 'TypeScript 5.4 node10',
    typescript: 'typescript-5.4',
    options: {
      ESM: { module: 'ES2022', moduleResolution: 'node10' },
      CJS: { module: 'CommonJS', moduleResolution: 'node10' },
    },
  },
  { tool: 'TypeScript 5.4 node16', typescript: 'typescript-5.4', options: alike('node16') },
  { tool: 'TypeScript 7 node16', typescript: 'typescript', options: alike('node16') },
  { tool: 'TypeScript 7 nodenext', typescript: 'typescript', options: alike('nodenext') },
  {
    tool: 'TypeScript 7 bundler',
    typescript: 'typescript',
    options: {
      ESM: { module: 'ES2022', moduleResolution: 'bundler' },
      CJS: { module: 'CommonJS', moduleResolution: 'bundler' },
    },
  },
];

const INSTALLED = ['typescript@7.0.2', 'typescript-5.4@npm:typescript@5.4.3', 'jest@30', ...REACT, ...TYPES];

/** Compiles the program as a strict application does, our declarations included. */
async function compile(folder: string, home: string, { typescript, options }: Compiler, format: Format): Promise<void> {
  const strict = { strict: true, noImplicitAny: true, exactOptionalPropertyTypes: true, skipLibCheck: false };
  const lib = ['ES2022', 'DOM', 'DOM.Iterable', 'ESNext.Disposable'];
  const common = { target: 'ES2022', lib, types: ['node'], rootDir: '.', outDir: 'dist', esModuleInterop: true };
  const config = { compilerOptions: { ...common, ...strict, ...options[format] }, files: ['main.ts'] };
  write(folder, { 'tsconfig.json': config });
  await node(folder, [join(home, 'node_modules', typescript, 'bin/tsc'), '--project', folder]);
}

async function runInJest(folder: string, home: string, env: Record<string, string>, format: Format): Promise<void> {
  const load =
    format === 'CJS' ? `const { work } = require('./dist/work.js');` : `import { work } from './dist/work.js';`;
  write(folder, {
    'program.test.js': `${load}\ntest('groupcast works', async () => work(JSON.parse(process.env.GROUPCAST_MATRIX)));\n`,
    'jest.config.json': { testEnvironment: 'node', transform: {}, testTimeout: 30_000 },
  });
  const flags = format === 'ESM' ? ['--experimental-vm-modules', '--no-warnings'] : [];
  const jest = join(home, 'node_modules/jest/bin/jest.js');
  // `--forceExit`: a client that was closed may leave a keep-alive connection to the API, which ends by itself.
  await node(folder, [...flags, jest, '--config', 'jest.config.json', '--rootDir', folder, '--forceExit'], env);
}

/** The cells of TypeScript, and those of Jest, which runs what TypeScript has made. */
export function compilerCells(workshop: Workshop, system: System): Cell[] {
  const prepare = async (id: string, name: Package, format: Format, compiler: Compiler) => {
    const home = await workshop.install('typescript', INSTALLED);
    const folder = join(home, id);
    copyProgram(folder, name, format);
    await compile(folder, home, compiler, format);
    return { home, folder };
  };
  const squares = PACKAGES.flatMap((name) => FORMATS.map((format) => ({ name, format })));
  const compiled = COMPILERS.flatMap((compiler) =>
    squares.map(({ name, format }): Cell => {
      const cell = { tool: compiler.tool, name, format };
      const judge = async (): Promise<void> => {
        const { folder } = await prepare(idOf(cell), name, format, compiler);
        await runProgram(folder, 'dist/main.js', system, idOf(cell));
        rmSync(folder, { recursive: true });
      };
      return { ...cell, judge };
    }),
  );
  const nodenext = COMPILERS.find(({ tool }) => tool.endsWith('nodenext'));
  if (!nodenext) throw new Error('there is no compiler for Jest');
  const tested = squares.map(({ name, format }): Cell => {
    const cell = { tool: 'Jest 30', name, format };
    const judge = async (): Promise<void> => {
      const { home, folder } = await prepare(idOf(cell), name, format, nodenext);
      await runInJest(folder, home, await environment(system, idOf(cell)), format);
    };
    return { ...cell, judge };
  });
  return [...compiled, ...tested];
}
