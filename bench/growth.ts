import { CLUSTER } from './growth/cluster.ts';
import { type MinuteSample, measureHeld } from './growth/held-snapshot.ts';
import { findPgDump, type Holder } from './growth/holders.ts';
import { nameOf, readSizes } from './growth/size.ts';
import { assertRoom, measureSizes, type SizeSample } from './growth/sizes.ts';
import { growthOf, heldRatios, heldTables, sizeTables } from './growth/tables.ts';
import { describeMachine } from './machine.ts';
import { describe } from './report.ts';

export interface GrowthOptions {
  isQuick: boolean;
  isJson: boolean;
  /** As in `10000,1000000/1/50000`: messages, groups, members. */
  sizes: string | undefined;
  minutes: number | undefined;
  rounds: number | undefined;
  /** As in `sizes,snapshot,pg_dump`. */
  parts: string | undefined;
}

const PARTS = ['sizes', 'snapshot', 'pg_dump'];
const HOLDERS: readonly Holder[] = ['snapshot', 'pg_dump'];
const FULL = { sizes: '10000,1000000,10000000', minutes: 10, rounds: 10, calls: 20, writeMs: 3_000 };
const QUICK = { sizes: '10000,100000', minutes: 1, rounds: 3, calls: 10, writeMs: 1_000 };

/** Measures how the cost of a message and of every route follows from the amount of data, and from other readers of the database. */
export async function growth(options: GrowthOptions): Promise<void> {
  const settings = options.isQuick ? QUICK : FULL;
  const parts = options.parts?.split(',') ?? PARTS;
  const sizes = readSizes(options.sizes ?? settings.sizes);
  const minutes = options.minutes ?? settings.minutes;
  if (!sizes || parts.some((part) => !PARTS.includes(part))) {
    throw new Error(
      `--sizes are messages, or messages/groups/members, each at least 1,000/1/1; --parts are ${PARTS.join(', ')}`,
    );
  }
  if (parts.includes('sizes')) assertRoom([sizes.smallest, ...sizes.others]);
  const progress = (line: string): void =>
    console.error(`${(performance.now() / 1_000).toFixed(0).padStart(4)} s  growth, ${line}`);
  const samples: SizeSample[] = [];
  const held: MinuteSample[] = [];
  const failed: string[] = [];
  const skipped: string[] = [];

  // Keeps the measurements before it.
  function fail(what: string, error: unknown): void {
    console.error(error);
    failed.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }

  if (parts.includes('sizes')) {
    const rounds = options.rounds ?? settings.rounds;
    const on = { measured: (pair: readonly SizeSample[]) => samples.push(...pair), failed: fail };
    await measureSizes({ ...settings, ...sizes, rounds, progress }, on).catch((error: unknown) => fail('sizes', error));
  }
  for (const holder of HOLDERS.filter((name) => parts.includes(name))) {
    if (holder === 'pg_dump' && findPgDump() === undefined)
      skipped.push('pg_dump is not installed (postgresql-client)');
    else {
      const onMinute = (sample: MinuteSample) => held.push(sample);
      await measureHeld(holder, { minutes, progress, onMinute }).catch((error: unknown) => fail(holder, error));
    }
  }

  const machine = describeMachine();
  const smallest = nameOf(sizes.smallest);
  const text = [
    describe(machine),
    `PostgreSQL with ${CLUSTER}.`,
    ...sizeTables(samples, smallest),
    ...heldTables(held),
    ...(failed.length > 0 ? [`Failed: ${failed.join('; ')}.`] : []),
    ...(skipped.length > 0 ? [`Skipped: ${skipped.join('; ')}.`] : []),
  ].join('\n\n');
  const ratios = HOLDERS.map((holder) => [holder, heldRatios(held, holder)] as const);
  const results = { machine, growth: growthOf(samples, smallest), held, heldRatios: Object.fromEntries(ratios) };
  if (options.isJson) {
    console.log(JSON.stringify({ ...results, samples, failed, skipped }));
    console.error(text);
  } else console.log(text);
}
