// `npm run site` builds the documentation into `site/dist`; `npm run site:dev` serves it and follows changes.
import { watch } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, createServer } from 'vitepress';
import { inputs, writeInputs } from './src/inputs.ts';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const FOLDER = '.cache/site';
/** Editors write a file in several steps, this many milliseconds apart at most. */
const SETTLED_MS = 100;

function prepare(): void {
  const made = inputs();
  if (made.dead.length > 0) throw new Error(`links lead nowhere: ${made.dead.join(', ')}`);
  writeInputs(FOLDER, made);
}

prepare();
if (process.argv.includes('--dev')) {
  const server = await createServer('site', { host: '127.0.0.1' });
  await server.listen();
  server.printUrls();
  let timer: NodeJS.Timeout | undefined;
  const follow = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      try {
        prepare();
      } catch (error) {
        console.error(error instanceof Error ? error.message : error);
      }
    }, SETTLED_MS);
  };
  for (const folder of ['docs', 'examples']) watch(folder, { recursive: true }, follow);
} else {
  await build('site');
}
