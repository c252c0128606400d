import { randomUUID } from 'node:crypto';
import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import pg from 'pg';
import type { Listening } from './database.ts';
import { codeOf, reasonOf } from './database-errors.ts';
import { type ConnectionConfig, PostgresConnection, type PostgresTimes } from './postgres-connection.ts';

const RETRY_MS = 1_000;

export interface ListenerDeps {
  config: ConnectionConfig;
  times: PostgresTimes;
  log: Logger;
  /** Sends an empty notification, on another connection. */
  notify: (channel: string) => Promise<unknown>;
}

export interface Listener {
  onNotify: (payload: string) => void;
  /** Some notifications may have been missed. */
  onReset: () => void;
}

/**
 * Listens on a connection of its own, which is replaced when it is lost or silent. Behind a pooler that gives every transaction another
 * session no notification would ever arrive: this is detected, logged once, and listening is tried again now and then.
 */
export async function listenOnPostgres(
  { config, times, log, notify }: ListenerDeps,
  channel: string,
  { onNotify, onReset }: Listener,
): Promise<Listening> {
  const warn = warnOnceEvery(60_000);
  const timeoutMs = times.statementMs + times.answerMs;
  /** Tells this listener's own notifications from those of other processes. */
  const probe = `${channel}_${randomUUID()}`;
  let current: PostgresConnection | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  /** The connection over which notifications are known to come. */
  let proven: PostgresConnection | undefined;
  /** Whether the log last said that nothing comes through the pooler. */
  let isDeaf = false;

  function lose(connection: PostgresConnection, error?: unknown): void {
    if (current !== connection) return;
    current = undefined;
    connection.cut();
    clearTimeout(timer);
    if (stopped) return;
    timer = setTimeout(() => void connect(), RETRY_MS);
    warn('lost', (suppressed) => {
      const fields = { reason: reasonOf(error), code: codeOf(error), channel, suppressed };
      log.warn(fields, 'not listening for notifications; trying again');
    });
  }

  function checkLater(connection: PostgresConnection): void {
    timer = setTimeout(() => {
      // A name may lead to another server by now: one that has become a standby sends no notifications.
      connection.ask({ text: 'select pg_is_in_recovery() as is_standby' }, timeoutMs).then(
        ({ rows: [row] }) => {
          if ((row as { is_standby: boolean }).is_standby) lose(connection, new Error('the server is a standby'));
          else if (current === connection) checkLater(connection);
        },
        (error: unknown) => lose(connection, error),
      );
    }, times.checkMs);
  }

  /** Whether notifications come through: one is sent on another connection, and has to arrive here. */
  async function hears(connection: PostgresConnection): Promise<boolean> {
    let late: NodeJS.Timeout | undefined;
    const heard = new Promise<boolean>((resolve, reject) => {
      connection.on('notification', (message) => {
        if (message.channel === probe) resolve(true);
      });
      // The time begins once it is sent: it cannot arrive before, however slow the connection is.
      notify(probe).then(() => {
        late = setTimeout(() => resolve(false), times.connectMs);
      }, reject);
    });
    return heard.finally(() => clearTimeout(late));
  }

  async function verify(connection: PostgresConnection): Promise<void> {
    try {
      if (await hears(connection)) {
        isDeaf = false;
        proven = connection;
        return;
      }
      if (current !== connection) return;
      current = undefined;
      clearTimeout(timer);
      connection.end().catch(() => undefined);
      // It may have been a slow moment.
      timer = setTimeout(() => void connect(), times.deafMs);
      if (isDeaf) return;
      isDeaf = true;
      log.warn(
        { channel },
        'no notifications come through the pooler, so events are found by looking for them: set DATABASE_LISTEN_URL to be told',
      );
    } catch (error) {
      lose(connection, error);
    }
  }

  async function connect(): Promise<void> {
    const connection = new PostgresConnection(config);
    current = connection;
    let failure: unknown;
    connection.on('error', (error) => {
      failure = error;
    });
    connection.on('end', () => lose(connection, failure));
    connection.on('notification', (message) => {
      if (message.channel === channel) onNotify(message.payload ?? '');
    });
    try {
      await connection.connect();
      const session = await connection.prepare(times);
      const channels = [channel, ...(session.isPooled ? [probe] : [])];
      await connection.ask(
        { text: channels.map((name) => `listen ${pg.escapeIdentifier(name)}`).join('; ') },
        timeoutMs,
      );
      if (current !== connection) return;
      checkLater(connection);
      if (session.isPooled) void verify(connection);
      else proven = connection;
      onReset();
    } catch (error) {
      lose(connection, error);
    }
  }

  await connect();
  const stop = async (): Promise<void> => {
    stopped = true;
    clearTimeout(timer);
    const last = current;
    current = undefined;
    await last?.end().catch(() => undefined);
  };
  return Object.assign(stop, { hears: () => current !== undefined && current === proven });
}
