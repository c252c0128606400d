// The last step of the build of a program, run in its folder: writes `src/main.ts` and all that it imports to `dist`, as few files. Most of
// the time of a start goes into finding and compiling a thousand modules otherwise. A service's `src/config.ts` can be imported from
// there as well: `groupcast check-config` reads a configuration as the service does.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const OUT = 'dist';
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ENTRY = /^src\/(?:main|config)\.ts$/;
/** Node loads these from `node_modules`: PGlite has WebAssembly of its own, the others are optional and native. */
const EXTERNAL = ['@electric-sql/pglite', 'bufferutil', 'pg-native', 'utf-8-validate'];
/** Packages in CommonJS call `require` for the modules of Node, and name their files by `__dirname`. */
const BANNER = `import { createRequire as bundleRequire } from 'node:module';
import { fileURLToPath as pathOfUrl } from 'node:url';
const require = bundleRequire(import.meta.url);
const fromBundle = (path) => new URL(path, import.meta.url).href;`;

/**
 * Every module finds its files (migrations, Lua scripts, built pages, dialects) where it finds them when it runs by itself: its
 * `import.meta.url` and its `__dirname` are the source's own, and not those of the file that it ends up in.
 */
const placesOfSources = {
  name: 'places-of-sources',
  setup({ onLoad }) {
    const urlOf = (path) => `fromBundle(${JSON.stringify(relative(OUT, path).replaceAll('\\', '/'))})`;
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      return { contents: text.replaceAll('import.meta.url', urlOf(path)), loader: 'ts' };
    });
    onLoad({ filter: /node_modules.*\.c?js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      if (!/\b__dirname\b/.test(text)) return undefined;
      return { contents: text.replaceAll(/\b__dirname\b/g, `pathOfUrl(${urlOf(dirname(path))})`), loader: 'js' };
    });
  },
};

/** Messages of zod in fifty languages are a tenth of a bundle, and are used by nothing. */
const englishAlone = {
  name: 'english-alone',
  setup({ onLoad }) {
    onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: `export { default as en } from './en.js';`,
    }));
  },
};

mkdirSync(OUT, { recursive: true });
for (const name of readdirSync(OUT, { recursive: true })) if (/\.js(?:\.map)?$/.test(name)) rmSync(join(OUT, name));
const { metafile } = await build({
  entryPoints: ['src/main.ts', 'src/config.ts'].filter((path) => existsSync(path)),
  outdir: OUT,
  chunkNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  conditions: ['@groupcast/source'],
  external: EXTERNAL,
  banner: { js: BANNER },
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
  plugins: [englishAlone, placesOfSources],
});

/** Files of `dist` that an entry point needs. What a module imports in a function that nobody calls is written too, and needed by none. */
const needed = new Set(Object.keys(metafile.outputs).filter((path) => metafile.outputs[path].entryPoint?.match(ENTRY)));
for (const path of needed)
  for (const { path: to } of metafile.outputs[path].imports) if (metafile.outputs[to]) needed.add(to);
for (const path of Object.keys(metafile.outputs)) if (!needed.has(path)) rmSync(path);

/** The folders of the packages in the bundle, for their licences. */
const packages = new Set();
for (const path of needed) {
  for (const input of Object.keys(metafile.outputs[path].inputs)) {
    const [folder] = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? [];
    if (folder) packages.add(relative(ROOT, folder));
  }
}
writeFileSync(join(OUT, 'bundled-packages.json'), `${JSON.stringify([...packages].toSorted(), null, 2)}\n`);
