import { connect } from 'node:net';
import { NoReply, reasonOf, tryToAsk } from './ask.ts';
import { failed, type Outcome, ok, skipped } from './hops.ts';
import type { Patient } from './patient.ts';
import type { Probe, Walk } from './walk-state.ts';

interface Health {
  database?: { kind?: string; state?: string; missingMigrations?: unknown[]; isPooled?: boolean };
  relay?: { connected?: boolean };
}

const UNREACHABLE_FIX = 'start PostgreSQL, or correct DATABASE_URL of the API; a pooler in between may have no server';

async function accepts(host: string, port: number, ms: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: ms });
    const settle = (problem: string | undefined): void => {
      socket.destroy();
      resolve(problem);
    };
    socket.once('connect', () => settle(undefined));
    socket.once('timeout', () => settle(`no connection within ${ms} ms`));
    socket.once('error', (error) => settle(reasonOf(error)));
  });
}

/** With the configuration, the server can be knocked at, though no API answers. */
async function knock({ databaseUrl, timeoutMs }: Patient): Promise<Outcome> {
  if (databaseUrl === undefined) return skipped('only the API knows its database, and it does not answer');
  const { hostname, port } = new URL(databaseUrl);
  if (hostname === '') return skipped('DATABASE_URL names a socket of another machine, and the API does not answer');
  const where = `${hostname}:${port || 5_432}`;
  const problem = await accepts(hostname.replace(/^\[(.*)\]$/, '$1'), Number(port || 5_432), timeoutMs);
  if (problem === undefined)
    return skipped(`${where} takes a connection; more than that only the API can say, and it does not answer`);
  return failed('DATABASE_UNREACHABLE', `the database at ${where} does not answer (${problem})`, UNREACHABLE_FIX);
}

function judge({ database = {} }: Health): Outcome {
  const { kind = 'unknown', state, missingMigrations: missing = [], isPooled } = database;
  const pooler = isPooled ? ', through a pooler' : '';
  if (state === 'read-only') {
    return failed(
      'DATABASE_READ_ONLY',
      `the database (${kind}) takes no writes${pooler}`,
      'point DATABASE_URL at the primary, or promote this server; look for default_transaction_read_only',
    );
  }
  if (state === 'out-of-order') {
    return failed(
      'DATABASE_OUT_OF_ORDER',
      `the database (${kind}) cannot write`,
      'free its disk, and read the log of the API and of PostgreSQL',
    );
  }
  if (state !== 'writable')
    return failed('DATABASE_UNREACHABLE', `the API does not reach its database (${kind})`, UNREACHABLE_FIX);
  if (missing.length > 0) {
    const names = missing.slice(0, 3).map(String).join(', ');
    return failed(
      'DATABASE_BEHIND',
      `the database lacks ${missing.length} migrations (${names})`,
      'restart the API: it migrates at its start',
    );
  }
  return ok(`${kind}, writable, migrations up to date${pooler}`);
}

function byReadiness({ apiReady }: Walk, why: string): Outcome {
  const { failing } = (apiReady?.json ?? {}) as { failing?: unknown };
  if (!apiReady) return skipped(why);
  if (Array.isArray(failing) && failing.includes('database')) {
    return failed(
      'DATABASE_UNREACHABLE',
      'the API says that its database does not answer, or takes no writes',
      UNREACHABLE_FIX,
    );
  }
  return ok(`the API says that it works; ${why}`);
}

/** The database as the API sees it, which alone counts: an embedded one is nobody else's to open. */
export const probeDatabase: Probe = async (walk) => {
  const { api, timeoutMs } = walk.patient;
  if (!api) return skipped('there is no API, and so no database');
  if (!walk.apiAnswers) return knock(walk.patient);
  const token = await walk.patient.serviceToken('api', ['relay']);
  if (token === undefined) return byReadiness(walk, 'more is told with a service token for the API');
  const headers = { authorization: `Bearer ${token}` };
  const reply = await tryToAsk(`${api.url}/internal/health`, { headers, timeoutMs });
  if (reply instanceof NoReply) return byReadiness(walk, `/internal/health does not answer (${reply.message})`);
  if (reply.status === 404) return byReadiness(walk, 'this API has no /internal/health');
  if (reply.status !== 200) return byReadiness(walk, `/internal/health answers HTTP ${reply.status}`);
  const health = (reply.json ?? {}) as Health;
  walk.apiHearsRelay = health.relay?.connected;
  return judge(health);
};
