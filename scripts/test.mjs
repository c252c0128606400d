// `npm test`: everything a reviewer wants to know, in order, ending with the line `N passed, N failed`.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const RESULTS = '.cache/vitest.json';
rmSync(RESULTS, { force: true });

/** One after the other; those of one line together. */
const steps = [
  [['set-up', 'bash', ['scripts/setup.sh', 'all']]],
  [
    ['build', 'npm', ['run', '--silent', 'build']],
    ['lint, format', 'npm', ['run', '--silent', 'lint:sources']],
  ],
  // These read what was built.
  [
    ['types', 'npm', ['run', '--silent', 'typecheck']],
    ['lint of the published pages, unused code', 'npm', ['run', '--silent', 'lint:built']],
  ],
  [['tests', 'npx', ['vitest', 'run']]],
];

async function isWell([name, command, args]) {
  const startedAt = performance.now();
  console.log(`::: ${name}`);
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const status = await new Promise((resolve) => child.once('error', () => resolve(1)).once('exit', resolve));
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`::: ${name}: ${status === 0 ? 'ok' : 'FAILED'} in ${seconds} s\n`);
  return status === 0;
}

let failed = false;
for (const together of steps) {
  const wells = await Promise.all(together.map(isWell));
  failed ||= wells.includes(false);
  // A fault of lint hides none of the types; without a build there is nothing more to look at.
  if (!wells[0] || (failed && together === steps.at(-2))) break;
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
