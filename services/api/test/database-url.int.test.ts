import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StartFailure } from '@groupcast/service-kit';
import { TEST_SECRETS, until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readApiConfig } from '../src/config.ts';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import { startApiUnderTest } from './api-harness.ts';

const NAMES = ['DATABASE_URL', 'DATABASE_LISTEN_URL'] as const;

function problemsOf(name: (typeof NAMES)[number], url: string): string {
  try {
    readApiConfig({ ...TEST_SECRETS, DATABASE_URL: 'postgres://h/x', [name]: url });
    return '';
  } catch (error) {
    return String(error);
  }
}

describe.each(NAMES)('the password in %s', (name) => {
  test.each([
    ['100%ffort', /%25/],
    ['s3cret%de', /%25/],
    ['1#s3cret', /%23/],
    ['s3cret#1', /%23/],
    ['1?s3cret', /%3F/],
    ['1/s3cret', /%2F/],
  ])('that is not written as in a URL (%s) is refused at start, and is not shown', (password, advice) => {
    const problems = problemsOf(name, `postgres://user:${password}@db.test:5432/x`);
    expect(problems).toMatch(new RegExp(`ConfigurationError: invalid configuration: ${name} has a`));
    expect(problems).toMatch(advice);
    expect(problems).not.toMatch(/s3cret|fort|db\.test/);
  });

  test.each([
    'postgres://user:100%25ff%23%2F%3F@db.test/x',
    'postgres://user:100%@db.test/x',
    'postgres://db.test/x?user=me@tenant&application_name=a@b',
    'postgresql://user@%2Fvar%2Frun%2Fpostgresql/x',
    'postgres:///x?host=/var/run/postgresql',
  ])('is taken where the driver can read it: %s', (url) => {
    expect(problemsOf(name, url)).toBe('');
  });

  test('is not shown either where a certificate is missing', () => {
    const problems = problemsOf(name, 'postgres://user:s3cret@db.test/x?sslrootcert=/nowhere.pem');
    expect(problems).toBe(
      `ConfigurationError: invalid configuration: ${name} names a file that cannot be read (ENOENT)`,
    );
  });
});

describe('a server', () => {
  let server: Server;
  let sockets: Socket[];
  /** Its first byte to each client. */
  let answer: string | undefined;
  let url: string;
  beforeEach(async () => {
    sockets = [];
    answer = undefined;
    server = createServer((socket) => {
      sockets.push(socket.on('error', () => undefined));
      socket.once('data', () => {
        if (answer !== undefined) socket.end(answer);
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    url = `postgres://user:s3cret@127.0.0.1:${(server.address() as AddressInfo).port}/x`;
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  test.each([
    ['says nothing', undefined, '', /timeout/],
    ['does not encrypt', 'N', '?sslmode=verify-full', /The server does not support SSL connections/],
  ])('that %s is told of in one line that names the variable', async (_what, says, parameters, reason) => {
    answer = says;
    const failure: unknown = await startApiUnderTest({ DATABASE_URL: url + parameters }).catch((error) => error);
    expect(failure).toBeInstanceOf(StartFailure);
    expect(String(failure)).toMatch(
      /^StartFailure: unable to bring the database up to date; [^;\n]+ \(check DATABASE_URL\)$/,
    );
    expect(String(failure)).toMatch(reason);
  });

  test('whose certificate is away for a moment is tried as before, by the listener too', async () => {
    answer = 'N';
    const folder = mkdtempSync(join(tmpdir(), 'groupcast-certificate-'));
    writeFileSync(join(folder, 'ca.pem'), 'a certificate');
    const db = openPostgresDatabase(`${url}?sslrootcert=${join(folder, 'ca.pem')}`, pino({ level: 'silent' }));
    const nothing = (): void => undefined;
    const stop = await db.listen('channel', nothing, nothing);
    expect(sockets).toHaveLength(1);
    rmSync(folder, { recursive: true });
    await expect(db.query('select 1')).rejects.toMatchObject({
      code: 'API_UNAVAILABLE',
      cause: { message: 'The server does not support SSL connections' },
    });
    await until('the next attempt to listen', () => sockets.length >= 3);
    await stop();
    await db.close();
  });
});
