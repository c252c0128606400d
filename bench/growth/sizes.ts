import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { openSqlSession, type PostgresServer } from '@groupcast/testing';
import { type Services, startServices } from '../route.ts';
import { type Caller, createCaller } from './caller.ts';
import { startCluster } from './cluster.ts';
import { fill } from './data.ts';
import { findMemberCursor, type Place, POST, ROUTES } from './routes.ts';
import { bytesOf, nameOf, type Size } from './size.ts';
import { assertNothingLost, countWritten, WRITERS, write } from './writers.ts';

/** One round of a route, or of writers: milliseconds of each call, or messages a second. */
export interface SizeSample {
  size: string;
  /** The size beside which it was measured, in turns. */
  beside: string;
  what: string;
  round: number;
  values: number[];
}

export interface SizesOptions {
  smallest: Size;
  others: readonly Size[];
  rounds: number;
  /** Calls of one route in a round. */
  calls: number;
  writeMs: number;
  progress: (line: string) => void;
}

export const WRITES: Readonly<Record<string, 1 | typeof WRITERS>> = {
  [`${WRITERS} writers, 1 group, messages/s`]: 1,
  [`${WRITERS} writers, ${WRITERS} groups, messages/s`]: WRITERS,
};

interface System {
  name: string;
  url: string;
  services: Services;
  caller: Caller;
  place: Place;
  /** Messages in the groups that are written to before anything was posted, and those posted since. */
  before: number;
  saved: number;
  /** Calls of each route so far. */
  counts: Map<string, number>;
}

/** Throws a sentence where the data would not fit. */
export function assertRoom(sizes: readonly Size[]): void {
  const { bavail, bsize } = statfsSync(tmpdir());
  const free = bavail * bsize;
  const gb = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(0)} GB`;
  for (const size of sizes) {
    if (bytesOf(size) > free)
      throw new Error(
        `unable to measure ${nameOf(size)}; it takes some ${gb(bytesOf(size))} in ${tmpdir()}, and ${gb(free)} are free`,
      );
  }
}

async function startSize(postgres: PostgresServer, size: Size, progress: SizesOptions['progress']): Promise<System> {
  const url = await postgres.createDatabase();
  // Its first start makes the tables.
  await (await startServices(url)).stop();
  const session = await openSqlSession(url);
  const startedAt = performance.now();
  const layout = await fill(session, size);
  const [disk] = await session.query<{ size: string }>(
    'select pg_size_pretty(pg_database_size(current_database())) as size',
  );
  await session.end();
  progress(`${nameOf(size)}: filled in ${((performance.now() - startedAt) / 1_000).toFixed(0)} s, ${disk?.size}`);
  const services = await startServices(url);
  const caller = createCaller(services);
  const place = { layout, memberCursor: await findMemberCursor(caller, layout), posted: [] };
  const before = await countWritten(url);
  return { name: nameOf(size), url, services, caller, place, before, saved: 0, counts: new Map() };
}

async function stopSize(postgres: PostgresServer, { url, services, caller }: System): Promise<void> {
  caller.close();
  await services.stop();
  const session = await openSqlSession(postgres.url);
  await session.query(`drop database ${new URL(url).pathname.slice(1)} with (force)`, 120_000);
  await session.end();
}

/** Calls a route one call after the other. */
async function callRoute(system: System, name: string, calls: number): Promise<number[]> {
  const { caller, place, counts } = system;
  const route = ROUTES[name];
  if (!route) throw new Error(`there is no route ${name}`);
  if (name === POST) place.posted = [];
  const values: number[] = [];
  for (let call = 0; call < calls; call += 1) {
    const n = counts.get(name) ?? 0;
    counts.set(name, n + 1);
    const { ms, answer } = await caller.ask<{ message?: { id: string; seq: number } }>(route(place, n));
    values.push(ms);
    if (name !== POST || !answer.message) continue;
    place.posted.push(answer.message);
    system.saved += 1;
  }
  return values;
}

/** Two systems take turns in every route, so that what else the machine does falls on both. */
async function measurePair(pair: readonly [System, System], options: SizesOptions): Promise<SizeSample[]> {
  const { rounds, calls, writeMs } = options;
  const samples: SizeSample[] = [];
  const add = (system: System, what: string, round: number, values: number[]): void => {
    const beside = pair.find((other) => other !== system)?.name ?? '';
    // The first one warms up.
    if (round > 0) samples.push({ size: system.name, beside, what, round, values });
  };
  for (let round = 0; round <= rounds; round += 1) {
    const turns = round % 2 === 0 ? pair : pair.toReversed();
    for (const name of Object.keys(ROUTES)) {
      for (const system of turns) add(system, name, round, await callRoute(system, name, calls));
    }
  }
  const writeRounds = Math.min(rounds, 3);
  for (let round = 0; round <= writeRounds; round += 1) {
    const turns = round % 2 === 0 ? pair : pair.toReversed();
    for (const [what, groups] of Object.entries(WRITES)) {
      for (const system of turns) {
        const { saved, perSecond } = await write(system.caller, groups, writeMs);
        system.saved += saved;
        add(system, what, round, [perSecond]);
      }
    }
  }
  for (const { url, before, saved } of pair) await assertNothingLost(url, before, saved);
  return samples;
}

export interface SizesEvents {
  measured(samples: readonly SizeSample[]): void;
  failed(size: string, error: unknown): void;
}

/** Every size beside the smallest one, each pair in databases that are new. */
export async function measureSizes(options: SizesOptions, on: SizesEvents): Promise<void> {
  const { smallest, others, progress } = options;
  assertRoom([smallest, ...others]);
  const postgres = await startCluster();
  try {
    for (const size of others) {
      const systems: System[] = [];
      try {
        for (const each of [smallest, size]) systems.push(await startSize(postgres, each, progress));
        const [small, large] = systems;
        if (small && large) on.measured(await measurePair([small, large], options));
        progress(`${nameOf(size)}: measured`);
      } catch (error) {
        // The sizes after it are measured all the same.
        on.failed(nameOf(size), error);
      } finally {
        for (const system of systems) await stopSize(postgres, system);
      }
    }
  } finally {
    await postgres.stop();
  }
}
