import { digits, table } from '../markdown.ts';
import { median, spreadOf } from '../statistics.ts';
import { ratioOf } from '../targets.ts';
import { type MinuteSample, WRITERS } from './held-snapshot.ts';
import type { Holder } from './holders.ts';
import { LIST, LIST_EMPTY, ROUTES } from './routes.ts';
import { type SizeSample, WRITES } from './sizes.ts';

/** Most by which the median of a route may grow, and the 99th percentile of a message while a snapshot is held. */
const MOST = 1.5;
/** Least of the messages a second that must remain while a snapshot is held. */
const LEAST = 0.8;

const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)];
const ratio = (value: number): string => `${value.toFixed(2)}×${value > MOST ? ' **!**' : ''}`;

/** The medians of each round of one thing in one size beside another, in the order of the rounds. */
function roundsOf(samples: readonly SizeSample[], what: string, size: string, beside: string): number[] {
  return samples
    .filter((sample) => sample.what === what && sample.size === size && sample.beside === beside)
    .toSorted((a, b) => a.round - b.round)
    .map(({ values }) => median(values));
}

interface Growth {
  what: string;
  size: string;
  medianMs: number;
  p99Ms: number;
  /** To the smallest size, which took turns with it. */
  ratio: number;
}

export function growthOf(samples: readonly SizeSample[], smallest: string): Growth[] {
  const sizes = distinct(samples.map(({ size }) => size)).filter((size) => size !== smallest);
  return [...Object.keys(ROUTES), ...Object.keys(WRITES)].flatMap((what) =>
    sizes.map((size) => {
      const values = samples
        .filter((sample) => sample.what === what && sample.size === size)
        .flatMap((one) => one.values);
      const over = roundsOf(samples, what, size, smallest);
      const under = roundsOf(samples, what, smallest, size);
      return { what, size, medianMs: median(values), p99Ms: spreadOf(values).p99Ms, ratio: ratioOf(over, under) };
    }),
  );
}

export function sizeTables(samples: readonly SizeSample[], smallest: string): string[] {
  if (samples.length === 0) return [];
  const growth = growthOf(samples, smallest);
  const sizes = distinct(growth.map(({ size }) => size));
  const smallOf = (what: string): number[] =>
    samples.filter((sample) => sample.what === what && sample.size === smallest).flatMap(({ values }) => values);
  const rowOf = (what: string, isTime: boolean): string[] => {
    const these = growth.filter((one) => one.what === what);
    const cell = (value: number, p99: number): string => (isTime ? `${digits(value)} · ${digits(p99)}` : digits(value));
    const small = smallOf(what);
    const worst = isTime ? Math.max(...these.map((one) => one.ratio)) : Math.min(...these.map((one) => one.ratio));
    return [
      what,
      cell(median(small), spreadOf(small).p99Ms),
      ...these.map((one) => `${cell(one.medianMs, one.p99Ms)} (${one.ratio.toFixed(2)}×)`),
      isTime ? ratio(worst) : `${worst.toFixed(2)}×`,
    ];
  };
  const unread = sizes.map((size) => {
    const rounds = [LIST, LIST_EMPTY].map((what) => roundsOf(samples, what, size, smallest)) as [number[], number[]];
    return [size, digits(median(rounds[0])), digits(median(rounds[1])), ratio(ratioOf(...rounds))];
  });
  return [
    '## Routes against size',
    `Median · p99 in ms of one call after the other by one user, and the ratio of the medians to the smallest size, which took turns with each. More than ${MOST} is marked.`,
    table(
      ['', smallest, ...sizes, 'largest ratio'],
      Object.keys(ROUTES).map((what) => rowOf(what, true)),
    ),
    'Messages a second, of writers that post the next message when the last was answered; no connection is in the groups:',
    table(
      ['', smallest, ...sizes, 'smallest ratio'],
      Object.keys(WRITES).map((what) => rowOf(what, false)),
    ),
    'The list of 1,000 groups, with what is unread, beside that of 1,000 empty ones of the same database:',
    table(['', 'with messages, ms', 'empty, ms', 'ratio'], unread),
  ];
}

/**
 * The last minute that a snapshot is held, beside the one before. `Alone`: as it is. The others are related to what took turns with it, so that other
 * work of the machine falls on both.
 */
export function heldRatios(
  samples: readonly MinuteSample[],
  holder: Holder,
): { speed: number; p99: number; speedAlone: number; p99Alone: number } | undefined {
  const of = (phase: MinuteSample['phase']): MinuteSample | undefined =>
    samples.findLast((sample) => sample.holder === holder && sample.phase === phase);
  const [before, last] = [of('before'), of('held')];
  if (!before || !last) return undefined;
  const speedAlone = last.messagesPerSecond / before.messagesPerSecond;
  const p99Alone = last.p99Ms / before.p99Ms;
  return {
    speed: (speedAlone * before.beside.messagesPerSecond) / last.beside.messagesPerSecond,
    p99: (p99Alone * before.beside.p99Ms) / last.beside.p99Ms,
    speedAlone,
    p99Alone,
  };
}

export function heldTables(samples: readonly MinuteSample[]): string[] {
  return distinct(samples.map(({ holder }) => holder)).flatMap((holder) => {
    const these = samples.filter((sample) => sample.holder === holder);
    const ratios = heldRatios(these, holder);
    const title = holder === 'snapshot' ? 'While a snapshot is held' : 'While pg_dump runs, again and again';
    return [
      `## ${title}`,
      `${WRITERS} writers to one group; each posts the next message when the last was answered, and all ${WRITERS} members are connected. Milliseconds are from before the request to when the last member has it. Every message reached every member, once and in its place. Beside it: the same on another database of the server, which takes turns with it every 5 s.`,
      table(
        [
          'minute',
          'messages/s',
          'p50, ms',
          'p99, ms',
          'beside: messages/s',
          'p99, ms',
          'API, CPU µs per message',
          'PostgreSQL, CPU µs',
          'cores of others',
          'dead rows',
          'dumps',
        ],
        these.map((sample) => [
          sample.phase === 'held' ? String(sample.minute) : sample.phase,
          ...[sample.messagesPerSecond, sample.p50Ms, sample.p99Ms].map(digits),
          ...[sample.beside.messagesPerSecond, sample.beside.p99Ms].map(digits),
          ...[sample.apiUsPerMessage, sample.postgresUsPerMessage].map(digits),
          sample.otherCores.toFixed(1),
          sample.deadRows.toLocaleString('en-US'),
          holder === 'pg_dump' ? String(sample.dumps) : '–',
        ]),
      ),
      ...(ratios
        ? [
            `Last minute ÷ minute before: messages/s ${ratios.speedAlone.toFixed(2)}, p99 ${ratios.p99Alone.toFixed(2)}; related to what was beside it: messages/s ${ratios.speed.toFixed(2)} (at least ${LEAST}), p99 ${ratios.p99.toFixed(2)} (at most ${MOST}).`,
          ]
        : []),
    ];
  });
}
