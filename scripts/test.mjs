// `npm test`: everything a reviewer wants to know, in order, ending with the line `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const RESULTS = '.cache/vitest.json';
rmSync(RESULTS, { force: true });

const steps = [
  ['set-up', 'bash', ['scripts/setup.sh', 'all']],
  ['build', 'npm', ['run', '--silent', 'build']],
  ['types', 'npm', ['run', '--silent', 'typecheck']],
  ['lint, format, unused code', 'npm', ['run', '--silent', 'lint']],
  ['tests', 'npx', ['vitest', 'run']],
];
let failed = false;
for (const [name, command, args] of steps) {
  const startedAt = performance.now();
  console.log(`::: ${name}`);
  const { status } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  console.log(
    `::: ${name}: ${status === 0 ? 'ok' : 'FAILED'} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`,
  );
  if (status !== 0) {
    failed = true;
    break;
  }
}

if (existsSync(RESULTS)) {
  const results = JSON.parse(readFileSync(RESULTS, 'utf8'));
  const suites = results.testResults.filter(
    (suite) => suite.status === 'failed' && suite.assertionResults.length === 0,
  );
  // An error outside every test fails the run too.
  const failures = results.numFailedTests + suites.length || (failed ? 1 : 0);
  if (failures > 0 || results.numPassedTests === 0) failed = true;
  console.log(`${results.numPassedTests} passed, ${failures} failed`);
}
process.exitCode = failed ? 1 : 0;
