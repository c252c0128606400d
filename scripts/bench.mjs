// `npm run bench [-- name … --quick --json]`: measurements, each beside its comparison, in one run. Linux; needs redis-server.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../bench/main.ts', import.meta.url));
const node = ['--conditions=@groupcast/source', '--import', 'tsx', main, ...process.argv.slice(2)];
process.exitCode = spawnSync(process.execPath, node, { stdio: 'inherit' }).status ?? 1;
