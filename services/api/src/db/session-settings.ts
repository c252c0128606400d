interface Setting {
  value: string;
  /** Whether a statement outside of a transaction may run with what its session has inherited. */
  suffices(inherited: string): boolean;
}

const is = (value: string): Setting => ({ value, suffices: (inherited) => inherited === value });
const anyWillDo = (value: string): Setting => ({ value, suffices: () => true });
const atLeast = (milliseconds: number, value = String(milliseconds)): Setting => ({
  value,
  suffices: (inherited) => inherited === '0' || Number(inherited) >= milliseconds,
});

/**
 * The settings that our statements depend on, by the names of PostgreSQL. A session has inherited each of these from its role, its database, the
 * server's configuration or the connection string. `search_path` is not among them: it says in which schema our tables are. Neither are
 * settings on which no statement depends, such as the time zone, nor the encoding, which the driver sets.
 */
function settings(statementMs: number): ReadonlyMap<string, Setting> {
  return new Map([
    // The driver reads times as ISO writes them.
    ['DateStyle', { value: 'ISO, MDY', suffices: (inherited) => inherited.startsWith('ISO') }],
    // At a stricter level, writers of the same group fail instead of waiting for each other.
    ['default_transaction_isolation', is('read committed')],
    [READ_ONLY, is('off')],
    ['lock_timeout', atLeast(statementMs, '0')],
    ['statement_timeout', atLeast(statementMs)],
    ['transaction_timeout', atLeast(statementMs, '0')],
    ['idle_in_transaction_session_timeout', anyWillDo(String(statementMs))],
    ['idle_session_timeout', anyWillDo('0')],
  ]);
}

/** A connection's session on the server. */
export interface Session {
  /** Whether a pooler is in between: it may give the session to another client, so nothing is set in it permanently. */
  readonly isPooled: boolean;
  /** Statements without parameters that begin a transaction with our settings. */
  readonly begin: string;
  /** Whether a statement must run in a transaction, because it would inherit wrong settings outside of one. */
  readonly needsTransaction: boolean;
}

const READ_ONLY = 'default_transaction_read_only';

/**
 * Asks what the session has inherited and, where there is no pooler, sets what we depend on. PostgreSQL greets a connection with the
 * number of the process that serves it; a pooler greets with a number that it has made up. A setting that this version of PostgreSQL
 * does not know is left out, and so is read-only mode that was set for the whole server, which is a decision of its operator.
 */
const PREPARE = `select pg_backend_pid() as pid, s.name, s.reset_val as inherited,
    case when pg_backend_pid() = $1 then set_config(s.name, wanted.value, false) end as value
  from unnest($2::text[], $3::text[]) as wanted (name, value) join pg_settings s on s.name = wanted.name
  where not (s.name = '${READ_ONLY}' and s.source in ('default', 'configuration file', 'command line'))`;

interface PreparedRow {
  pid: number;
  name: string;
  inherited: string;
}

export interface SessionPreparation {
  statement: { text: string; values: unknown[] };
  /** Reads the session from the rows that the statement answers. */
  read(rows: readonly unknown[]): Session;
}

/** `processId` is the one of the server's greeting, `statementMs` the longest that PostgreSQL works on a statement. */
export function prepareSession(processId: number, statementMs: number): SessionPreparation {
  const wanted = settings(statementMs);
  return {
    statement: {
      text: PREPARE,
      values: [processId, [...wanted.keys()], [...wanted.values()].map(({ value }) => value)],
    },
    read(rows) {
      const inherited = rows as readonly PreparedRow[];
      if (inherited.every(({ pid }) => pid === processId)) {
        return { isPooled: false, begin: 'begin', needsTransaction: false };
      }
      const wrong = inherited.filter((row) => wanted.get(row.name)?.suffices(row.inherited) === false);
      const local = new Set([
        'statement_timeout',
        'idle_in_transaction_session_timeout',
        ...wrong.map(({ name }) => name),
      ]);
      local.delete('default_transaction_isolation');
      // A standby refuses `read write`, so it is added only where it is needed.
      const readWrite = local.delete(READ_ONLY) ? ', read write' : '';
      return {
        isPooled: true,
        begin: [
          `begin isolation level read committed${readWrite}`,
          ...[...local].map((name) => `set local ${name} = '${wanted.get(name)?.value}'`),
        ].join('; '),
        needsTransaction: wrong.length > 0,
      };
    },
  };
}
