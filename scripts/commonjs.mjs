// The last step of the build of a package that is published, run in its folder: makes of each file that tsc has written a second one in
// CommonJS, in `dist/cjs`, with its declarations. tsc writes one format a run, and would check everything again for the other.
//
// The files stay separate, so that the entry points share their modules. They keep their names: `dist/cjs/package.json` says for Node and
// for TypeScript that they are CommonJS, and every relative import in them holds as it stands.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { filesIn, removeStaleFiles } from './stale-files.mjs';

const OUT = 'dist';
const COMMONJS = join(OUT, 'cjs');

rmSync(COMMONJS, { recursive: true, force: true });
removeStaleFiles(OUT);

const written = filesIn(OUT);
await build({
  entryPoints: written.filter((file) => file.endsWith('.js')).map((file) => join(OUT, file)),
  outbase: OUT,
  outdir: COMMONJS,
  format: 'cjs',
  platform: 'node',
  target: 'node20.19',
  // Jest knows no `import()` in CommonJS.
  supported: { 'dynamic-import': false },
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
});
for (const file of written.filter((name) => name.endsWith('.d.ts'))) {
  const target = join(COMMONJS, file);
  mkdirSync(dirname(target), { recursive: true });
  cpSync(join(OUT, file), target);
  const map = JSON.parse(readFileSync(join(OUT, `${file}.map`), 'utf8'));
  const moved = { ...map, sources: map.sources.map((source) => `../${source}`) };
  writeFileSync(`${target}.map`, JSON.stringify(moved));
}
writeFileSync(join(COMMONJS, 'package.json'), `${JSON.stringify({ type: 'commonjs', sideEffects: false }, null, 2)}\n`);
