// What the SDK adds to a page: the built package, bundled and minified, beside stock socket.io-client alone.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'groupcast-size-'));
const socketIo = fileURLToPath(import.meta.resolve('socket.io-client')).replace('esm-debug', 'esm');

async function measure(name, code) {
  const entry = join(folder, `${name}.js`);
  const outDir = join(folder, name);
  writeFileSync(entry, code);
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      target: 'es2022',
      outDir,
      minify: true,
      modulePreload: false,
      rollupOptions: { input: entry, preserveEntrySignatures: 'strict', output: { entryFileNames: 'page.js' } },
    },
    resolve: { alias: { '@groupcast/client': join(root, 'dist/index.js'), 'socket.io-client': socketIo } },
  });
  const text = readFileSync(join(outDir, 'page.js'), 'utf8');
  if (/\bzod\b/i.test(text)) throw new Error('a schema library got into the bundle');
  return { minified: Buffer.byteLength(text), gzip: gzipSync(text, { level: 9 }).length };
}

function row(name, { minified, gzip }) {
  const kilobytes = (bytes) => `${(bytes / 1_000).toFixed(1)} kB`.padStart(8);
  return `${name.padEnd(20)} ${kilobytes(minified)} minified ${kilobytes(gzip)} gzip`;
}

try {
  const stock = await measure('stock', "export { io } from 'socket.io-client';");
  const client = await measure('client', "export { createClient, ClientError } from '@groupcast/client';");
  console.log(row('socket.io-client', stock));
  console.log(row('@groupcast/client', client));
  console.log(row('added', { minified: client.minified - stock.minified, gzip: client.gzip - stock.gzip }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
