import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const main = new URL('../packages/cli/dist/main.js', import.meta.url);

/** Runs `groupcast <name>` with this process's arguments, in this process. Builds first where nothing is built yet. */
export async function runCommand(name) {
  if (!existsSync(main)) {
    process.stderr.write('building Groupcast first, once …\n');
    // Everything on stderr: stdout is the command's.
    const build = spawnSync('bash', ['-c', 'bash scripts/setup.sh deps && npm run -s build'], {
      cwd: root,
      stdio: ['ignore', 2, 2],
    });
    if (build.status !== 0) {
      process.stderr.write(`unable to build; ${build.error?.message ?? 'see the messages above'}\n`);
      process.exit(1);
    }
  }
  process.argv.splice(2, 0, name);
  await import(main.href);
}
