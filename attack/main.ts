import { fork } from 'node:child_process';
import { setPriority } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pin } from '../bench/pins.ts';
import { pidOf } from '../bench/processes.ts';
import type { Attack } from './attacks/moves.ts';
import { ATTACKS } from './attacks.ts';
import { type Kind, startOthers } from './others.ts';
import { startTarget } from './target.ts';
import type { Answers } from './weapons.ts';

const USAGE = `npm run attack -- [name …] [--json] [--rest SECONDS] [--same-address] [--list]

Attacks a relay and an API that it starts itself, on loopback, and measures what everybody else notices. Names: see --list.

  --rest SECONDS   how long after an attack memory is looked at again (20)
  --same-address   the attacker has the address of everybody else, as behind a proxy; without it, one of its own
  --json           one JSON object per attack, as it ends
  --list           what there is
`;
const WARM_UP_MS = 2_000;
const ATTACKER_ADDRESS = '127.0.0.2';

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    rest: { type: 'string', default: '20' },
    'same-address': { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log(USAGE);
  process.exit();
}
if (options.list) {
  for (const { name, has, victim, what } of ATTACKS) console.log(`${name.padEnd(18)} ${victim}, ${has}: ${what}`);
  process.exit();
}
const unknown = names.filter((name) => !ATTACKS.some((attack) => attack.name === name));
const restMs = Number(options.rest) * 1_000;
if (unknown.length > 0 || !(restMs >= 0)) {
  console.error(`unable to run ${unknown.join(', ') || `with --rest ${options.rest}`}\n\n${USAGE}`);
  process.exit(2);
}

interface Outcome {
  name: string;
  has: Attack['has'];
  what: string;
  waits: Partial<Record<Kind, { p50: number; p95: number; max: number }>>;
  failures: Record<string, number>;
  rssMb: { before: number; highest: number; after: number };
  died: string | undefined;
  answers: Answers;
}

function spread(waits: readonly number[]): { p50: number; p95: number; max: number } {
  const sorted = waits.toSorted((a, b) => a - b);
  const at = (percent: number): number => sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? Number.NaN;
  return { p50: at(50), p95: at(95), max: at(100) };
}

async function attackFrom(name: string, address: { relayUrl: string; apiUrl: string }): Promise<Answers> {
  const child = fork(fileURLToPath(new URL('./attacker.ts', import.meta.url)), { execArgv: process.execArgv });
  const pid = pidOf(child);
  pin(pid, 'driver');
  // The measuring process has priority over the attacker, on the core that they share.
  setPriority(pid, 10);
  const answers = new Promise<Answers>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Answers)).once('exit', () => reject(new Error('it died')));
  });
  child.send({ name, address, from: options['same-address'] ? undefined : ATTACKER_ADDRESS });
  try {
    return await answers;
  } finally {
    child.disconnect();
  }
}

async function run(attack: Attack): Promise<Outcome> {
  const target = await startTarget(attack.victim);
  for (const service of target.services) pin(pidOf(service.process.child), 'server');
  const others = await startOthers(target);
  const { victim } = target;
  try {
    await pause(WARM_UP_MS);
    await victim.collectGarbage();
    const before = victim.rssMb();
    victim.highestMb();
    others.reset();
    const answers = await attackFrom(attack.name, target).catch((error: unknown) => ({ [String(error)]: 1 }));
    const waits = others.waits();
    const failures = others.failures();
    const highest = victim.highestMb();
    await pause(restMs);
    if (victim.isAlive()) await victim.collectGarbage();
    const dead = target.services.find((service) => !service.isAlive());
    const kinds = (Object.keys(waits) as Kind[]).filter((kind) => waits[kind].length > 0);
    return {
      name: attack.name,
      has: attack.has,
      what: attack.what,
      waits: Object.fromEntries(kinds.map((kind) => [kind, spread(waits[kind])])),
      failures,
      rssMb: { before, highest, after: victim.rssMb() },
      died: dead && `${dead.name}: ${dead.process.child.signalCode ?? dead.process.child.exitCode}`,
      answers,
    };
  } finally {
    await others.stop();
    await target.stop();
  }
}

const whole = (value: number): string => value.toFixed(0);
const counts = (values: Readonly<Record<string, number>>): string =>
  Object.entries(values)
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, 4)
    .map(([what, count]) => `${count} × ${what}`)
    .join(', ');

function row({ name, has, what, waits, failures, rssMb, died, answers }: Outcome): string {
  const cell = (kind: Kind): string => {
    const value = waits[kind];
    return value ? `${whole(value.p50)} · ${whole(value.p95)} · ${whole(value.max)}` : '–';
  };
  const memory = `${whole(rssMb.before)} · ${whole(rssMb.highest)} · ${whole(rssMb.after)}`;
  const state = died ?? (Object.keys(failures).length > 0 ? `failed: ${counts(failures)}` : 'lives');
  return `| ${name}: ${what} | ${has} | ${cell('message')} | ${cell('newcomer')} | ${cell('http')} | ${cell('post')} | ${memory} | ${state} | ${counts(answers)} |`;
}

if (!options.json) {
  console.log('Others wait p50 · p95 · max, ms. RSS before · highest · after rest and a full collection, MB.\n');
  console.log('| attack | has | message | newcomer | HTTP | POST | RSS | process | the attacker is answered |');
  console.log('|---|---|---|---|---|---|---|---|---|');
}
for (const attack of ATTACKS) {
  if (names.length > 0 && !names.includes(attack.name)) continue;
  const outcome = await run(attack);
  console.log(options.json ? JSON.stringify(outcome) : row(outcome));
}
// Requests that were never answered would keep the process.
process.exit();
