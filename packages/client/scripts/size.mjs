// What the SDK adds to a page: the built package, bundled and minified, beside stock socket.io-client alone.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'groupcast-size-'));
/** Most that the doctor may weigh, in bytes, once when it is attached and once more when its panel is opened. */
const DOCTOR_GZIP = 6_000;
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
    resolve: {
      alias: {
        '@groupcast/client/doctor': join(root, 'dist/doctor/index.js'),
        '@groupcast/client': join(root, 'dist/index.js'),
        'socket.io-client': socketIo,
      },
    },
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
  const doctor = await measure('doctor', "export { attachDoctor } from '@groupcast/client/doctor';");
  const panel = await measure(
    'panel',
    `export { openPanel } from ${JSON.stringify(join(root, 'dist/doctor/panel.js'))};`,
  );
  console.log(row('added', { minified: client.minified - stock.minified, gzip: client.gzip - stock.gzip }));
  console.log(row('…/doctor, attached', doctor));
  console.log(row('…/doctor, opened', panel));
  for (const { gzip } of [doctor, panel]) {
    if (gzip > DOCTOR_GZIP) throw new Error(`the doctor is larger than ${DOCTOR_GZIP} bytes: ${gzip}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
