// `npm run attack [-- name …]`: attacks a relay and an API that it starts itself, and measures the effect on other users. Linux.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../attack/main.ts', import.meta.url));
const node = ['--conditions=@groupcast/source', '--import', 'tsx', main, ...process.argv.slice(2)];
process.exitCode = spawnSync(process.execPath, node, { stdio: 'inherit' }).status ?? 1;
