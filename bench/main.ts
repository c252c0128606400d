import { parseArgs } from 'node:util';
import { calls } from './calls.ts';
import { conversation } from './conversation.ts';
import { dialects } from './dialects.ts';
import { growth } from './growth.ts';
import { interest } from './interest.ts';
import { profile } from './profile.ts';
import { report } from './report.ts';
import { rollingRestart } from './rolling-restart.ts';
import { FULL, narrow, QUICK } from './settings.ts';
import { stalled } from './stalled.ts';
import { createSuite, MEASURES } from './suite.ts';
import { comparisons } from './targets.ts';

/** Measurements that print their own tables, and run only when they are named. */
const STANDALONE: Readonly<Record<string, () => Promise<void>>> = {
  calls,
  conversation: async () => conversation({ isQuick: options.quick }),
  dialects: async () => dialects({ isQuick: options.quick }),
  async growth() {
    const { sizes, parts, minutes, repetitions } = options;
    await growth({
      isQuick: options.quick,
      isJson: options.json,
      sizes,
      parts,
      minutes: numbers(minutes)?.[0],
      rounds: numbers(repetitions)?.[0],
    });
  },
  interest,
  profile,
  'rolling-restart': rollingRestart,
  stalled,
};
const NAMES = [...Object.keys(MEASURES), ...Object.keys(STANDALONE)];
const USAGE = `npm run bench -- [name …] [options]

Without a name: ${Object.keys(MEASURES).join(', ')}. When named: ${Object.keys(STANDALONE).join(', ')}.

  --quick              shorter, fewer, under two minutes; peers only when named
  --json               every sample as JSON on stdout, the Markdown on stderr
  --repetitions N      of each sample
  --servers A,B        only these, such as groupcast,stock
  --members N,N        only rooms of these sizes
  --bursts N,N         only this many messages at a time: 1, 20
  --bytes N,N          only messages of this size: 270, 4096
  --sizes N,N          growth: the smallest, and others beside it; N or messages/groups/members
  --minutes N          growth: how long a snapshot is held
  --parts A,B          growth: only these of sizes,snapshot,pg_dump
  --driver first|second
                       second: fan-out and redis by ws and socket.io-client, with Groupcast and Socket.IO
`;

function fail(why: string): never {
  console.error(`${why}\n\n${USAGE}`);
  process.exit(2);
}

function readOptions(): ReturnType<typeof parse> {
  try {
    return parse();
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function parse() {
  return parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      repetitions: { type: 'string' },
      servers: { type: 'string' },
      members: { type: 'string' },
      bursts: { type: 'string' },
      bytes: { type: 'string' },
      sizes: { type: 'string' },
      minutes: { type: 'string' },
      parts: { type: 'string' },
      driver: { type: 'string', default: 'first' },
    },
  });
}

function numbers(option: string | undefined): number[] | undefined {
  const values = option?.split(',').map(Number);
  if (values?.some((value) => !Number.isInteger(value) || value < 1)) fail(`"${option}" is no list of whole numbers`);
  return values;
}

const { values: options, positionals: names } = readOptions();
if (options.help) {
  console.log(USAGE);
  process.exit();
}
if (options.driver !== 'first' && options.driver !== 'second') fail(`there is no driver "${options.driver}"`);
const unknown = names.filter((name) => !NAMES.includes(name));
if (unknown.length > 0) fail(`unable to run ${unknown.join(', ')}; there is ${NAMES.join(', ')}`);

for (const [name, run] of Object.entries(STANDALONE)) {
  if (!names.includes(name)) continue;
  // With --json nothing but JSON is on stdout.
  (options.json ? console.error : console.log)(`\n## ${name}\n`);
  await run();
}

const isAsked = (name: string): boolean =>
  names.includes(name) || (names.length === 0 && !(options.quick && name === 'peers'));
const measures = Object.entries(MEASURES).filter(([name]) => isAsked(name));
if (measures.length > 0) {
  const suite = createSuite({
    settings: narrow(options.quick ? QUICK : FULL, {
      repetitions: numbers(options.repetitions)?.[0],
      members: numbers(options.members),
      bursts: numbers(options.bursts),
      bytes: numbers(options.bytes),
    }),
    servers: options.servers?.split(','),
    second: options.driver === 'second',
    progress: (line) => console.error(`${(performance.now() / 1_000).toFixed(0).padStart(4)} s  ${line}`),
  });
  for (const [name, measure] of measures) {
    suite.progress(`${name}:`);
    try {
      await measure(suite);
    } catch (error) {
      // The measurements before it are not lost with it.
      console.error(error);
      suite.results.failed.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
    }
  }
  if (options.json) {
    console.log(JSON.stringify({ ...suite.results, comparisons: comparisons(suite.results) }));
    console.error(report(suite.results));
  } else console.log(report(suite.results));
}
