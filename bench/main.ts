import { interest } from './interest.ts';
import { rollingRestart } from './rolling-restart.ts';
import { stalled } from './stalled.ts';

const BENCHMARKS: Readonly<Record<string, () => Promise<void>>> = {
  interest,
  'rolling-restart': rollingRestart,
  stalled,
};

const names = process.argv.slice(2);
const unknown = names.filter((name) => !Object.hasOwn(BENCHMARKS, name));
if (unknown.length > 0) {
  console.error(`unable to run ${unknown.join(', ')}; there is ${Object.keys(BENCHMARKS).join(', ')}`);
  process.exit(2);
}
for (const name of names.length > 0 ? names : Object.keys(BENCHMARKS)) {
  console.log(`\n## ${name}\n`);
  await BENCHMARKS[name]?.();
}
