import { join } from 'node:path';
import type { System } from '@groupcast/testing';
import { type Cell, FORMATS, node, PACKAGES } from './cells.ts';
import { copyProgram, idOf, runProgram } from './programs.ts';
import { copyApp, REACT, TYPES, type Workshop, write } from './workshop.ts';

const squares = PACKAGES.flatMap((name) => FORMATS.map((format) => ({ name, format })));

/**
 * As ES modules everything is bundled into the program, ours included. As CommonJS the program is bundled alone, and its `require` finds
 * our packages.
 */
function viteCells(workshop: Workshop, system: System): Cell[] {
  return squares.map(({ name, format }): Cell => {
    const cell = { tool: 'Vite 8', name, format };
    const judge = async (): Promise<void> => {
      const home = await workshop.install('vite', ['vite@8', ...REACT]);
      const folder = join(home, idOf(cell));
      copyProgram(folder, name, format);
      const output = { format: format === 'ESM' ? 'es' : 'cjs', entryFileNames: 'main.js' };
      const ssr = format === 'ESM' ? { noExternal: true } : {};
      const config = { ssr, build: { ssr: 'main.ts', minify: false, rollupOptions: { output } } };
      write(folder, { 'vite.config.mjs': `export default ${JSON.stringify(config)};\n` });
      await node(folder, [join(home, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'error']);
      await runProgram(folder, 'dist/main.js', system, idOf(cell));
    };
    return { ...cell, judge };
  });
}

/** Nest 11 is the last that is CommonJS, with the compiler options that its command line writes; Nest 12 is ES modules. */
function nestCells(workshop: Workshop, system: System): Cell[] {
  const common = ['reflect-metadata@0.2', 'rxjs@7', ...REACT, ...TYPES];
  const nest = (version: number): string[] => [`@nestjs/common@${version}`, `@nestjs/core@${version}`];
  const installed = {
    CJS: [...nest(11), 'typescript@5.4.3', ...common],
    ESM: [...nest(12), 'typescript@7.0.2', ...common],
  };
  const modules = {
    CJS: { module: 'CommonJS', moduleResolution: 'node10' },
    ESM: { module: 'NodeNext', moduleResolution: 'NodeNext' },
  };
  return squares.map(({ name, format }): Cell => {
    const cell = { tool: 'NestJS (11 CJS, 12 ESM)', name, format };
    const judge = async (): Promise<void> => {
      const home = await workshop.install(`nest-${format.toLowerCase()}`, installed[format]);
      const folder = join(home, idOf(cell));
      copyProgram(folder, name, format);
      copyApp('nest', folder);
      const compilerOptions = {
        target: 'ES2022',
        lib: ['ES2022', 'DOM', 'DOM.Iterable'],
        types: ['node'],
        rootDir: '.',
        outDir: 'dist',
        strict: true,
        skipLibCheck: true,
        experimentalDecorators: true,
        emitDecoratorMetadata: true,
        ...modules[format],
      };
      write(folder, { 'tsconfig.json': { compilerOptions, files: ['main.ts'] } });
      await node(folder, [join(home, 'node_modules/typescript/bin/tsc'), '--project', folder]);
      await runProgram(folder, 'dist/main.js', system, idOf(cell));
    };
    return { ...cell, judge };
  });
}

export function frameworkCells(workshop: Workshop, system: System): Cell[] {
  return [...viteCells(workshop, system), ...nestCells(workshop, system)];
}
