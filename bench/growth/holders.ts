import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { within } from '@groupcast/service-kit';
import { openSqlSession } from '@groupcast/testing';

/** Those who hold a snapshot: an open transaction, or dumps one after the other. */
export type Holder = 'snapshot' | 'pg_dump';

const VERSIONS_FOLDER = '/usr/lib/postgresql';

/** The newest one of those installed. */
export function findPgDump(): string | undefined {
  const versions = existsSync(VERSIONS_FOLDER) ? readdirSync(VERSIONS_FOLDER) : [];
  return versions
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => `${VERSIONS_FOLDER}/${version}/bin/pg_dump`)
    .find((file) => existsSync(file));
}

export interface Held {
  /** Runs that have ended so far. */
  dumps: () => number;
  release(): Promise<void>;
}

/** As a report, or an application that forgot its transaction. */
async function holdSnapshot(url: string): Promise<Held> {
  const session = await openSqlSession(url);
  await session.query('begin isolation level repeatable read');
  await session.query('select 1');
  return {
    dumps: () => 0,
    async release() {
      // It throws where the server has ended the session meanwhile: then nothing was held.
      await session.query('select 1');
      await session.query('commit');
      await session.end();
    },
  };
}

/** One dump after the other, to nowhere. */
function holdDumps(file: string, url: string): Held {
  const releasing = new AbortController();
  let dumps = 0;
  let child: ChildProcess | undefined;
  let failure: Error | undefined;
  const dump = async (): Promise<void> =>
    new Promise((resolve, reject) => {
      child = spawn(file, ['--dbname', url, '--file', '/dev/null'], { stdio: ['ignore', 'ignore', 'inherit'] });
      child.once('error', reject);
      child.once('close', (code) => {
        if (code === 0 || releasing.signal.aborted) resolve();
        else reject(new Error(`pg_dump ended with ${code}`));
      });
    });
  const work = (async () => {
    for (; !releasing.signal.aborted; dumps += 1) await dump();
  })().catch((error: Error) => {
    failure = error;
  });
  return {
    dumps: () => dumps,
    async release() {
      releasing.abort();
      child?.kill();
      await within(10_000, work, 'pg_dump to end');
      if (failure) throw failure;
    },
  };
}

export async function hold(holder: Holder, url: string): Promise<Held> {
  return holder === 'pg_dump' ? holdDumps(findPgDump() ?? 'pg_dump', url) : holdSnapshot(url);
}
