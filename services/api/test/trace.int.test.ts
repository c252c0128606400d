import type { Message } from '@groupcast/shared';
import {
  openSqlSession,
  type PostgresServer,
  type SqlSession,
  startPostgres,
  TEST_SECRETS,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { MessageTrace } from '../src/tracing/trace-service.ts';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';
import { type RelayServer, refusal, startRelayServer } from './relay-server.ts';
import { describeTraces } from './trace.suite.ts';

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
});

describeTraces('the embedded database', async () => ({}));
describeTraces('PostgreSQL', async () => ({ DATABASE_URL: await postgres.createDatabase() }));

describe('a message that does not leave the outbox', () => {
  const GROUPS = '/api/messaging/groups';
  let relay: RelayServer;
  let api: ApiUnderTest;
  let sql: SqlSession;
  beforeAll(async () => {
    relay = await startRelayServer();
    const url = await postgres.createDatabase();
    sql = await openSqlSession(url);
    api = await startApiUnderTest({ DATABASE_URL: url, RELAY_URL: relay.url, LOG_LEVEL: 'silent' });
  });
  afterAll(async () => {
    await sql.end();
    await api.close();
    await relay.close();
  });
  afterEach(async () => {
    relay.forget();
    await sql.query('alter system reset default_transaction_read_only');
    await sql.query('select pg_reload_conf()');
  });

  let groups = 0;
  async function newGroup(): Promise<string> {
    groups += 1;
    const id = `stuck-${groups}`;
    // Sessions of the database hear a moment later that they may write again.
    await until('the group', async () => {
      const { status } = await api.request('alice', 'POST', GROUPS, { id, memberIds: ['bob'] });
      return status === 201;
    });
    return id;
  }
  async function say(groupId: string): Promise<Message> {
    const path = `${GROUPS}/${groupId}/messages`;
    return (await api.request<{ message: Message }>('alice', 'POST', path, { content: 'hello' })).body.message;
  }
  async function trace({ id }: Message): Promise<MessageTrace> {
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const audience = 'groupcast-api';
    const token = await signServiceToken({ secret, scopes: ['monitor'], subject: 'operator', audience });
    const headers = { authorization: `Bearer ${token}` };
    const path = `/api/messaging/messages/${id}/trace`;
    const { status, body } = await api.request<MessageTrace>(null, 'GET', path, undefined, headers);
    expect({ status, body }).toMatchObject({ status: 200 });
    return body;
  }
  /** The trace once it has this code: the outbox tries again while it is read. */
  const traceOf = async (message: Message, code: string): Promise<MessageTrace> =>
    until(`a trace with ${code}`, async () => {
      const found = await trace(message);
      return found.verdict.code === code ? found : undefined;
    });
  function takeNothing(): void {
    relay.on('api-broadcast-message', () => refusal('BROKER_UNAVAILABLE'));
    relay.on('api-broadcast-batch', ({ items }: { items: unknown[] }) => ({
      ok: true,
      results: items.map(() => refusal('BROKER_UNAVAILABLE')),
    }));
  }
  /** Where it stands, and that nobody is said to have it. */
  function expectStuck({ hops, verdict, summary, recipients }: MessageTrace, hop: string): void {
    expect(verdict).toMatchObject({ state: 'stopped', hop });
    expect(hops.at(-1)).toMatchObject({ hop, ok: false });
    expect(summary).toEqual({ pending: 1 });
    expect(recipients).toMatchObject([{ userId: 'bob', state: 'pending', fix: verdict.fix }]);
    expect(verdict.cause).toContain(recipients[0]?.why);
  }

  test('an attempt that failed is named with its code, how often, and when the next one is', async () => {
    const groupId = await newGroup();
    takeNothing();
    const found = await traceOf(await say(groupId), 'ATTEMPT_FAILED');
    expectStuck(found, 'relay-accepted');
    expect(found.verdict.cause).toMatch(/BROKER_UNAVAILABLE, (?:once|\d+ times) so far, and again at 2/);
  });

  test('a process that holds the group without sending is named, and until when', async () => {
    const groupId = await newGroup();
    await until('the group to be given back', async () => (await sql.query('select 1 from backlog')).length === 0);
    await sql.query(
      `update outbox set lease_owner = 'frozen-1', lease_token = lease_token + 1, lease_until = now() + interval '5 seconds'
       where group_id = '${groupId}'`,
    );
    const found = await traceOf(await say(groupId), 'LEASED_ELSEWHERE');
    expectStuck(found, 'claimed');
    expect(found.verdict.cause).toMatch(/frozen-1 holds it until 2/);
    await sql.query(`update outbox set lease_until = null where group_id = '${groupId}'`);
  });

  test('a database that only reads is said to', async () => {
    const groupId = await newGroup();
    takeNothing();
    const message = await say(groupId);
    await sql.query('alter system set default_transaction_read_only = on');
    await sql.query('select pg_reload_conf()');
    expectStuck(await traceOf(message, 'DATABASE_READ_ONLY'), 'claimed');
    await sql.query('set default_transaction_read_only = off');
  });

  test('a relay that refuses the API is said to, with its code and the secret to compare', async () => {
    const groupId = await newGroup();
    relay.refuseConnections('SERVICE_TOKEN_INVALID');
    const found = await traceOf(await say(groupId), 'RELAY_REFUSED');
    expectStuck(found, 'relay-accepted');
    expect(found.verdict).toMatchObject({
      cause: expect.stringContaining('SERVICE_TOKEN_INVALID'),
      fix: 'compare RELAY_SERVICE_SECRET on both sides',
    });
    expect(await api.request(null, 'GET', '/readyz')).toEqual({
      status: 200,
      body: { status: 'degraded', degraded: ['relay'] },
    });
    const metrics = await (await fetch(`${api.internalUrl}/metrics`)).text();
    expect(metrics).toMatch(/^groupcast_api_relay_connected 0$/m);
  });

  test('a relay that is away is said to be, by the address that was tried', async () => {
    const groupId = await newGroup();
    await relay.close();
    const found = await traceOf(await say(groupId), 'RELAY_UNREACHABLE');
    expectStuck(found, 'relay-accepted');
    expect(found.verdict.fix).toContain('RELAY_URL');
  });
});
