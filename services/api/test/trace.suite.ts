import type { Group, Message, RelayTrace, TraceHop, TraceRecipient, UnknownRefusals } from '@groupcast/shared';
import { TEST_SECRETS, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { MessageTrace } from '../src/tracing/trace-service.ts';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';
import { type RelayServer, refusal, startRelayServer } from './relay-server.ts';

const GROUPS = '/api/messaging/groups';
const SECRET = 'a word that nobody but members reads';
const at = '2026-03-01T10:00:00.000Z';

const hop = (name: TraceHop['hop'], ok = true, more: Partial<TraceHop> = {}): TraceHop => ({
  hop: name,
  ok,
  detail: `by node relay-7: ${name}`,
  ...more,
});
const PASSED = [
  hop('relay-accepted', true, { at: '2099-03-01T10:00:00.000Z', node: 'relay-7' }),
  hop('published', true, { ms: 1, count: 2 }),
  hop('node-received', true, { ms: 1, node: 'relay-7' }),
  hop('written', true, { ms: 2, count: 3, node: 'relay-7' }),
];

/** A relay's answer about these users. */
function answerOf(
  { groupId, userIds }: { groupId: string; userIds: string[] },
  states: Readonly<Record<string, Partial<TraceRecipient>>>,
  {
    hops = PASSED,
    refusals = [],
    code = 'OFFLINE',
  }: { hops?: TraceHop[]; refusals?: UnknownRefusals[]; code?: string } = {},
): object {
  const recipients = userIds.flatMap((userId) => {
    const known = states[userId];
    return known ? [{ userId, state: 'offline' as const, why: 'as the relay says', ...known }] : [];
  });
  const verdict = {
    state: 'stopped',
    hop: 'written',
    code,
    cause: 'cause of relay-7',
    fix: 'fix',
  } as const;
  const trace: RelayTrace = {
    groupId,
    position: null,
    hops,
    verdict,
    nodes: [],
    unreachable: ['relay-8'],
    refusals,
    summary: {},
    recipients,
  };
  return { ok: true, ...trace };
}

/** Where a message is, on every database. */
export function describeTraces(backend: string, database: () => Promise<Record<string, string>>): void {
  describe(`traces on ${backend}`, () => {
    let relay: RelayServer;
    let api: ApiUnderTest;
    beforeAll(async () => {
      relay = await startRelayServer();
      api = await startApiUnderTest({ RELAY_URL: relay.url, LOG_LEVEL: 'silent', ...(await database()) });
    });
    afterAll(async () => {
      await api.close();
      await relay.close();
    });
    afterEach(() => relay.forget());

    let groups = 0;
    /** A group of alice and others, with a message of hers that the relay has accepted. */
    async function say(others: readonly string[]): Promise<Message> {
      groups += 1;
      const id = `traced-${groups}`;
      const made = await api.request<{ group: Group }>('alice', 'POST', GROUPS, { id, memberIds: others });
      expect(made.status).toBe(201);
      const path = `${GROUPS}/${id}/messages`;
      const { body } = await api.request<{ message: Message }>('alice', 'POST', path, { content: SECRET });
      await until('the relay to have it', () => relay.accepted.some((event) => event.id === body.message.id));
      return body.message;
    }
    const pathOf = (message: Pick<Message, 'id'>, query = ''): string =>
      `/api/messaging/messages/${message.id}/trace${query}`;
    async function serviceToken(scopes: readonly ('monitor' | 'broadcast' | 'relay')[] = ['monitor']): Promise<object> {
      const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
      const token = await signServiceToken({ secret, scopes, subject: 'operator', audience: 'groupcast-api' });
      return { authorization: `Bearer ${token}` };
    }
    async function traceAsService(message: Pick<Message, 'id'>, query = ''): Promise<MessageTrace> {
      const headers = (await serviceToken()) as Record<string, string>;
      const { status, body } = await api.request<MessageTrace>(null, 'GET', pathOf(message, query), undefined, headers);
      expect({ status, body }).toMatchObject({ status: 200 });
      return body;
    }
    async function traceAs(user: string, message: Pick<Message, 'id'>, query = ''): Promise<MessageTrace> {
      const { status, body } = await api.request<MessageTrace>(user, 'GET', pathOf(message, query));
      expect({ status, body }).toMatchObject({ status: 200 });
      return body;
    }
    /** Moves cursors as a relay does. */
    async function received(message: Message, userId: string, cursors: object): Promise<void> {
      const headers = (await serviceToken(['relay'])) as Record<string, string>;
      const body = { cursors: [{ groupId: message.groupId, userId, ...cursors }] };
      const { status } = await api.request(null, 'POST', '/internal/cursors', body, headers);
      expect(status).toBe(200);
    }
    const errorOf = (answer: { body: unknown }): string => (answer.body as { error: { code: string } }).error.code;

    test('a service sees every hop, every recipient and the most common cause, and no word of the message (G84)', async () => {
      const message = await say(['bob', 'carol', 'dave', 'erin']);
      await received(message, 'erin', { received: message.seq, applied: message.seq });
      relay.on('api-get-trace', (query) =>
        answerOf(query, {
          bob: { state: 'proven', at, node: 'relay-7', socketId: 's1' },
          carol: { state: 'offline' },
          dave: { state: 'offline', fix: 'wait' },
        }),
      );
      const trace = await traceAsService(message);
      expect(trace).toMatchObject({
        messageId: message.id,
        groupId: message.groupId,
        seq: message.seq,
        verdict: { state: 'partly', hop: 'written', code: 'OFFLINE', fix: expect.stringMatching(/come back/) },
        summary: { applied: 1, proven: 1, offline: 2 },
        recipientCount: 4,
        unreachable: ['relay-8'],
      });
      expect(trace.hops.map(({ hop: name, ok }) => [name, ok])).toEqual([
        ['saved', true],
        ['claimed', true],
        ['relay-accepted', true],
        ['published', true],
        ['node-received', true],
        ['written', false],
        ['client-received', false],
        ['client-applied', false],
      ]);
      expect(trace.hops[0]?.at).toBe(message.createdAt);
      expect(trace.hops[2]?.ms).toBeGreaterThan(0);
      expect(trace.recipients.map(({ userId, state }) => [userId, state])).toEqual([
        ['bob', 'proven'],
        ['carol', 'offline'],
        ['dave', 'offline'],
        ['erin', 'applied'],
      ]);
      expect(trace.recipients[0]).toMatchObject({ node: 'relay-7', socketId: 's1', at });
      expect(JSON.stringify(trace)).not.toContain(SECRET);
      // Nobody asks the relay about those whose cursors say it.
      expect(relay.askedOf('api-get-trace')).toEqual([
        expect.objectContaining({ epoch: message.epoch, seq: message.seq, userIds: ['bob', 'carol', 'dave'] }),
      ]);
    });

    test('it is delivered once everybody has it, by whatever says so, and applied once all say that', async () => {
      const message = await say(['bob', 'carol']);
      await received(message, 'bob', { received: message.seq });
      relay.on('api-get-trace', (query) => answerOf(query, { carol: { state: 'proven' } }));
      const { verdict, summary } = await traceAsService(message);
      expect({ verdict, summary }).toMatchObject({
        verdict: { state: 'delivered', hop: 'client-received', code: 'DELIVERED' },
        summary: { received: 1, proven: 1 },
      });
      for (const user of ['bob', 'carol']) await received(message, user, { applied: message.seq });
      expect((await traceAsService(message)).verdict).toMatchObject({ state: 'delivered', hop: 'client-applied' });
    });

    test('nobody else in the group, and those who came later or have gone, are no recipients', async () => {
      const message = await say(['bob']);
      await until('a later time', async () => new Date().toISOString() > message.createdAt);
      const members = `${GROUPS}/${message.groupId}/members`;
      expect((await api.request('alice', 'POST', members, { userIds: ['late'] })).status).toBe(201);
      expect((await api.request('alice', 'DELETE', `${members}/bob`)).status).toBe(200);
      relay.on('api-get-trace', (query) => answerOf(query, {}));
      expect(await traceAsService(message)).toMatchObject({
        verdict: { state: 'delivered', code: 'NO_RECIPIENTS' },
        recipients: [],
        recipientCount: 0,
        summary: {},
      });
      for (const [user, why, fix] of [
        ['late', 'who joined the group after it was saved', 'nothing needs to be done'],
        ['bob', 'who is not a member of the group', 'add the user to the group'],
        ['alice', 'who sent it', 'ask about another member'],
        ['nobody', 'who is not a member of the group', 'check the id'],
      ] as const) {
        const { verdict, recipients } = await traceAsService(message, `?userId=${user}`);
        expect([verdict.state, verdict.code, recipients]).toEqual(['stopped', 'NOT_A_RECIPIENT', []]);
        expect(verdict.cause).toBe(`the message is not for "${user}", ${why}`);
        expect(verdict.fix).toContain(fix);
      }
    });

    test('pages have all recipients, each once, and the same summary of all', async () => {
      const others = Array.from({ length: 7 }, (_, index) => `member-${index}`);
      const message = await say(others);
      relay.on('api-get-trace', (query) => answerOf(query, { 'member-6': { state: 'proven' } }));
      const seen: string[] = [];
      let after: string | undefined;
      do {
        const query = `?limit=3${after === undefined ? '' : `&after=${after}`}`;
        const page = await traceAsService(message, query);
        expect(page).toMatchObject({ summary: { offline: 6, proven: 1 }, recipientCount: 7 });
        seen.push(...page.recipients.map(({ userId }) => userId));
        after = page.next;
      } while (after !== undefined);
      expect(seen).toEqual(others);
    });

    test('large groups take several questions, and of those not answered in time it is said that nothing is known', async () => {
      const others = Array.from({ length: 600 }, (_, index) => `m-${String(index).padStart(3, '0')}`);
      const message = await say(others);
      let questions = 0;
      relay.on('api-get-trace', (query: { groupId: string; userIds: string[] }) => {
        questions += 1;
        const states = Object.fromEntries(query.userIds.map((userId) => [userId, { state: 'proven' as const }]));
        return questions > 1 ? refusal('INTERNAL') : answerOf(query, states);
      });
      expect(await traceAsService(message, '?limit=1')).toMatchObject({
        summary: { proven: 500, 'node-unreachable': 100 },
        verdict: { state: 'partly', hop: 'node-received', code: 'NODE_UNREACHABLE' },
      });
    });

    test('the sender is not told where others are connected, nor that somebody is there who is not shown (G85)', async () => {
      const message = await say(['bob', 'carol', 'dave', 'erin', 'frank']);
      relay.on('api-get-trace', (query) =>
        answerOf(query, {
          bob: { state: 'proven', at, node: 'relay-7', socketId: 's1' },
          carol: { state: 'pending', node: 'relay-7', socketId: 's2' },
          dave: { state: 'pending', node: 'relay-7', socketId: 's3', at },
          erin: { state: 'offline', at, node: 'relay-7' },
          frank: { state: 'connected-not-joined', node: 'relay-7', socketId: 's4' },
        }),
      );
      // Dave hides it.
      relay.on('api-get-presence', ({ groupId }: { groupId: string }) => ({
        ok: true,
        groupId,
        users: ['bob', 'carol'].map((userId) => ({ userId, connections: 1 })),
        numUsers: 2,
        numConnections: 2,
      }));
      const trace = await traceAs('alice', message);
      expect(trace.recipients.map(({ userId, state }) => [userId, state])).toEqual([
        ['bob', 'proven'],
        ['carol', 'pending'],
        ['dave', 'offline'],
        ['erin', 'offline'],
        ['frank', 'offline'],
      ]);
      const [, , dave, erin, frank] = trace.recipients;
      // They cannot be told apart.
      expect([dave, frank].map((recipient) => ({ ...recipient, userId: 'erin' }))).toEqual([erin, erin]);
      expect(trace.summary).toEqual({ proven: 1, pending: 1, offline: 3 });
      expect(trace.hops.map(({ hop: name }) => name)).toEqual([
        'saved',
        'claimed',
        'relay-accepted',
        'published',
        'client-received',
        'client-applied',
      ]);
      expect(JSON.stringify(trace)).not.toMatch(/relay-[78]|s[1-4]"|as the relay says|OF_THE_RELAY/);
    });

    test('another member sees only themself, and a stranger not even that there is a message (G85)', async () => {
      const message = await say(['bob', 'carol']);
      relay.on('api-get-trace', (query) =>
        answerOf(query, { bob: { state: 'token-expired', code: 'TOKEN_EXPIRED', node: 'relay-7', socketId: 's1' } }),
      );
      const trace = await traceAs('bob', message);
      expect(trace.recipients).toEqual([
        { userId: 'bob', state: 'token-expired', code: 'TOKEN_EXPIRED', why: 'as the relay says' },
      ]);
      expect(trace).toMatchObject({ summary: { 'token-expired': 1 }, recipientCount: 1, unreachable: [] });
      expect(JSON.stringify(trace)).not.toMatch(/carol|relay-[78]/);
      const other = await api.request('bob', 'GET', pathOf(message, '?userId=carol'));
      expect([other.status, errorOf(other)]).toEqual([403, 'FORBIDDEN']);
      for (const id of [message.id, 'no-such-message']) {
        const { status, body } = await api.request<{ error: { message: string } }>('mallory', 'GET', pathOf({ id }));
        expect([status, body.error.message.replace(id, 'ID')]).toEqual([
          404,
          'unable to find message "ID"; there is none, or you are not a member',
        ]);
      }
      const one = await traceAs('alice', message, '?userId=carol');
      expect(one.recipients.map(({ userId }) => userId)).toEqual(['carol']);
    });

    test('a service token opens this route with monitor or broadcast, and no other route', async () => {
      const message = await say(['bob']);
      relay.on('api-get-trace', (query) => answerOf(query, {}));
      const ask = async (path: string, headers: object) =>
        api.request(null, 'GET', path, undefined, headers as Record<string, string>);
      expect((await ask(pathOf(message), await serviceToken(['broadcast']))).status).toBe(200);
      const narrow = await ask(pathOf(message), await serviceToken(['relay']));
      expect([narrow.status, errorOf(narrow)]).toEqual([403, 'FORBIDDEN']);
      const forged = await signServiceToken({
        secret: 'another secret of at least 32 characters',
        scopes: ['monitor'],
        subject: 'operator',
        audience: 'groupcast-api',
      });
      const refused = await ask(pathOf(message), { authorization: `Bearer ${forged}` });
      expect([refused.status, errorOf(refused)]).toEqual([401, 'SERVICE_TOKEN_INVALID']);
      const elsewhere = await ask(GROUPS, await serviceToken());
      expect([elsewhere.status, errorOf(elsewhere)]).toEqual([401, 'TOKEN_INVALID']);
      const missing = await ask(pathOf(message), {});
      expect([missing.status, errorOf(missing)]).toEqual([401, 'TOKEN_MISSING']);
    });

    test('a relay that does not answer, or does not know the question, is the answer', async () => {
      const message = await say(['bob', 'carol']);
      await received(message, 'carol', { received: message.seq });
      relay.on('api-get-trace', () => undefined);
      const silent = await traceAsService(message);
      expect(silent).toMatchObject({
        verdict: { state: 'partly', hop: 'published', code: 'RELAY_UNREACHABLE' },
        summary: { received: 1, 'node-unreachable': 1 },
      });
      expect(silent.hops.at(3)).toMatchObject({ hop: 'published', ok: false });
      relay.on('api-get-trace', () => refusal('UNKNOWN_EVENT'));
      const { verdict } = await traceAsService(message);
      expect(verdict).toMatchObject({ hop: 'published', code: 'RELAY_REFUSED' });
      expect(verdict.fix).toContain('update the relay');
    });

    test('a hop of the relays that stops everybody comes with their own verdict', async () => {
      const message = await say(['bob']);
      const hops = [hop('relay-accepted'), hop('published', false)];
      relay.on('api-get-trace', (query) =>
        answerOf(query, { bob: { state: 'pending' } }, { hops, code: 'OF_THE_RELAY' }),
      );
      expect((await traceAsService(message)).verdict).toMatchObject({
        code: 'OF_THE_RELAY',
        cause: 'cause of relay-7',
      });
      expect((await traceAs('alice', message)).verdict).toMatchObject({ hop: 'published', code: 'NOT_PUBLISHED' });
    });

    test('where somebody is offline, a refusal that the relays know of is named to services alone', async () => {
      const message = await say(['bob']);
      const refusals = [{ code: 'ORIGIN_FORBIDDEN', message: 'not allowed', count: 3, at: '2026-01-01T00:00:00.000Z' }];
      relay.on('api-get-trace', (query) => answerOf(query, { bob: { state: 'offline' } }, { refusals }));
      const { verdict } = await traceAsService(message);
      expect([verdict.code, verdict.cause]).toEqual(['OFFLINE', expect.stringContaining('(ORIGIN_FORBIDDEN)')]);
      expect((await traceAs('alice', message)).verdict.cause).not.toContain('ORIGIN_FORBIDDEN');
    });

    test.each([
      ['nobody knows any more whether it was', [hop('relay-accepted', false)], 'NOT_ACCEPTED'],
      ['its position says that it was', [hop('relay-accepted'), hop('published', false)], 'NOT_REMEMBERED'],
    ])('an event that the relays remember no more was accepted all the same, where %s', async (_, said, code) => {
      const message = await say(['bob']);
      relay.on('api-get-trace', (query) => answerOf(query, { bob: { state: 'offline' } }, { hops: said, code }));
      await until(
        'the cursor of the outbox',
        async () => (await traceAsService(message)).verdict.code === 'NOT_REMEMBERED',
      );
      const { hops } = await traceAsService(message);
      expect(hops.map(({ hop: name, ok }) => [name, ok])).toEqual([
        ['saved', true],
        ['claimed', true],
        ['relay-accepted', true],
        ['published', false],
      ]);
      for (const trace of [await traceAsService(message), await traceAs('alice', message)]) {
        expect(trace.verdict).toMatchObject({ hop: 'published', code: 'NOT_REMEMBERED' });
        expect(trace.verdict.cause).not.toBe('cause of relay-7');
      }
    });
  });
}
