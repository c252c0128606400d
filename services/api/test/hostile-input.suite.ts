import { TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';

const GROUPS = '/api/messaging/groups';
const RUNS = 300;

/** Times that JavaScript reads and PostgreSQL does not, or reads otherwise, and the other way round. */
const TIMES = [
  '2024',
  'infinity',
  '-infinity',
  'now',
  'epoch',
  '2024-01-01 GMT+2599',
  '2024-01-01T00:00:00+99:99',
  'Mon, 01 Jan 2024 00:00:00 GMT (a comment)',
  '+010000-01-01T00:00:00.000Z',
  '-000001-01-01T00:00:00.000Z',
  '0000-01-01T00:00:00.000000Z',
  '2024-02-30T00:00:00.000000Z',
  '2024-01-01T24:00:00.000000Z',
  '2024-01-01T23:59:60.000000Z',
  '2024-01-01 00:00:00+00',
  '2024-01-01T00:00:00.000000Z\0',
];
const TEXTS = [
  ...TIMES,
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  '\udfff\ud800',
  '😀',
  'NaN',
  '-1',
  '1e400',
  '0x10',
  '2147483648',
  '9007199254740992',
  '9223372036854775808',
  '99999999999999999999999999999999',
  '__proto__',
  'constructor',
  '..',
  '%',
  "' or 1=1 --",
  '{"a":1}',
  '\\u0000',
  'x'.repeat(5_000),
];
const NUMBERS = [0, -0, -1, 1.5, 2 ** 31, 2 ** 53, 2 ** 63, 1e308, 5e-324];

const text = fc.oneof(fc.constantFrom(...TEXTS), fc.string({ unit: 'binary', maxLength: 40 }));
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    text,
    fc.constantFrom<unknown>(...NUMBERS, null, true, false),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4 }),
  ),
})).value;
const cursor = fc
  .tuple(fc.oneof(fc.constantFrom<unknown>(...TIMES), json), fc.oneof(text, json))
  .map((pair) => Buffer.from(JSON.stringify(pair)).toString('base64url'));

const FIELDS = [
  'name',
  'memberIds',
  'kind',
  'userIds',
  'content',
  'clientMessageId',
  'attachments',
  'seq',
  'users',
  'groups',
  'limit',
  'cursors',
  'custom',
  'picture',
  'hidesPresence',
  'id',
];
const COMMANDS = ['send-message', 'edit-message', 'delete-message', 'mark-read', 'toString'];
const QUERY = ['cursor', 'limit', 'before', 'after', 'epoch'];

function encode(part: string): string {
  try {
    return encodeURIComponent(part);
  } catch {
    // Half of a surrogate pair, in bytes that are no UTF-8.
    return '%ED%A0%80';
  }
}

/** Rules for all input that reaches the API from outside, on every database. */
export function describeHostileInput(backend: string, database: () => Promise<Record<string, string>>): void {
  describe(`hostile input on ${backend}`, () => {
    let api: ApiUnderTest;
    let known: { groupId: string; messageId: string };
    let routes: { method: string; path: string }[];
    let relayToken: string;
    beforeAll(async () => {
      const limits = { API_RATE_LIMIT_PER_MINUTE: '10000000', DEMO: '1' };
      api = await startApiUnderTest({ ...limits, ...(await database()) });
      const { body } = await api.request<{ group: { id: string } }>('alice', 'POST', GROUPS, { memberIds: ['bob'] });
      const path = `${GROUPS}/${body.group.id}/messages`;
      const sent = await api.request<{ message: { id: string } }>('alice', 'POST', path, { content: 'hello' });
      known = { groupId: body.group.id, messageId: sent.body.message.id };
      const openapi = await api.request<{ paths: Record<string, object> }>(null, 'GET', '/docs/json');
      routes = Object.entries(openapi.body.paths).flatMap(([name, methods]) =>
        Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path: name })),
      );
      const events = COMMANDS.map((command) => `events#${command}`);
      for (const name of ['memberships', 'history', 'cursors', 'presence', ...events])
        routes.push({ method: 'POST', path: `/internal/${name}` });
      relayToken = await signServiceToken({
        secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
        subject: 'relay',
        audience: 'groupcast-api',
        scopes: ['relay'],
      });
    });
    afterAll(async () => api.close());

    test('is never answered with a failure of the server, whatever the route (G43)', async () => {
      expect(routes.length).toBeGreaterThan(14);
      const token = await tokenFor('bob');
      const request = fc.record({
        route: fc.nat(),
        isKnown: fc.boolean(),
        id: text,
        query: fc.dictionary(fc.constantFrom(...QUERY), fc.oneof(text, cursor, fc.constantFrom('1', '2'))),
        body: fc.oneof(
          { weight: 4, arbitrary: fc.dictionary(fc.constantFrom(...FIELDS), json) },
          { weight: 1, arbitrary: json },
        ),
        isContent: fc.boolean(),
        key: fc.option(fc.string({ maxLength: 200 }), { nil: undefined }),
      });
      await fc.assert(
        fc.asyncProperty(request, async ({ route, isKnown, id, query, body, isContent, key }) => {
          const { method, path } = routes[route % routes.length] ?? { method: 'GET', path: '/' };
          const ids: Record<string, string> = isKnown ? known : {};
          const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encode(ids[name] ?? id));
          const search = Object.entries(query)
            .map(([name, value]) => `${name}=${encode(value)}`)
            .join('&');
          // A good part of a body lets the rest of it get further.
          const sent = isContent && typeof body === 'object' && !Array.isArray(body) ? { ...body, content: 'x' } : body;
          const [, command] = path.split('#');
          const envelope = { userId: 'bob', socketId: 's1', event: command, dialect: 'native' };
          const payload = { ...(typeof sent === 'object' ? sent : {}), ...(isKnown ? known : { messageId: id }) };
          const bearer = path.startsWith('/internal') ? relayToken : token;
          const headers = {
            authorization: `Bearer ${bearer}`,
            ...(key === undefined ? {} : { 'idempotency-key': encode(key) }),
          };
          const answer = await api.request<{ ok?: boolean; error?: { code?: string } }>(
            null,
            method,
            `${filled.replace(/#.*/, '')}${search ? `?${search}` : ''}`,
            method === 'GET' ? undefined : JSON.stringify(command === undefined ? sent : { ...envelope, payload }),
            headers,
          );
          expect([method, filled, answer.status < 500]).toEqual([method, filled, true]);
          if (answer.status >= 400 || answer.body.ok === false)
            expect(answer.body.error?.code).toEqual(expect.any(String));
        }),
        { numRuns: RUNS },
      );
    }, 120_000);

    test('a cursor with a time that only one of JavaScript and PostgreSQL reads is none of ours', async () => {
      for (const time of TIMES) {
        const crafted = Buffer.from(JSON.stringify([time, known.groupId])).toString('base64url');
        const { status, body } = await api.request<{ error?: { code?: string } }>(
          'alice',
          'GET',
          `${GROUPS}?cursor=${crafted}`,
        );
        expect([time, status, body.error?.code]).toEqual([time, 400, 'INVALID_PAYLOAD']);
      }
    });

    test('text that cannot be stored is refused wherever it hides in an attachment, and what only looks like it is not', async () => {
      const path = `${GROUPS}/${known.groupId}/messages`;
      const send = async (attachment: object) =>
        (await api.request('alice', 'POST', path, { content: 'x', attachments: [attachment] })).status;
      expect(await send({ 'a\0': 1 })).toBe(400);
      expect(await send({ a: [{ b: '\ud800' }] })).toBe(400);
      expect(await send({ a: 'the text \\u0000, spelled out' })).toBe(201);
    });

    test.each(['\\u0000', '\\\\u0000', '"\\u0000"', "if (c === '\\u0000' || c === '\\ud800')"])(
      'source code that spells out what cannot be stored is stored as it stands, everywhere: %s',
      async (code) => {
        const path = `${GROUPS}/${known.groupId}/messages`;
        const sent = {
          content: code,
          clientMessageId: `id ${code}`,
          attachments: [{ [code]: code, nested: [[code]] }],
        };
        const { status, body } = await api.request<{ message: { id: string; seq: number } }>(
          'alice',
          'POST',
          path,
          sent,
        );
        expect(status).toBe(201);
        expect(body.message).toMatchObject(sent);
        const edited = await api.request('alice', 'PATCH', `${path}/${body.message.id}`, { content: `${code} again` });
        expect(edited).toMatchObject({ status: 200, body: { message: { ...sent, content: `${code} again` } } });
        const after = body.message.seq - 1;
        const events = await api.request('alice', 'GET', `${GROUPS}/${known.groupId}/events?after=${after}`);
        // The history too has the newest text.
        expect(events.body).toMatchObject({
          events: [{ ...sent, content: `${code} again` }, { content: `${code} again` }],
        });
        const renamed = await api.request('alice', 'PATCH', `${GROUPS}/${known.groupId}`, { name: code });
        expect(renamed).toMatchObject({ status: 200, body: { group: { name: code } } });
        const list = await api.request<{ groups: object[] }>('alice', 'GET', GROUPS);
        expect(list.body.groups).toContainEqual(expect.objectContaining({ name: code }));
      },
    );

    test('a body is bounded in items as well, and a message may be made of nothing else', async () => {
      const messages = `${GROUPS}/${known.groupId}/messages`;
      const dense = { content: 'x', more: Array.from({ length: 40_000 }, () => [0]) };
      const refused = await api.request<{ error?: object }>('alice', 'POST', messages, dense);
      expect([refused.status, refused.body.error]).toEqual([
        413,
        expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE', message: expect.stringContaining('items') }),
      ]);
      expect((await api.request('alice', 'POST', messages, { content: ',:[{'.repeat(16_000) })).status).toBe(201);
    });

    test('a profile that cannot be stored keeps nobody out', async () => {
      const { tokenWith } = await import('@groupcast/testing');
      const now = Math.floor(Date.now() / 1_000);
      const claims = {
        sub: 'odd',
        iat: now,
        exp: now + 60,
        name: 'a\0b',
        email: '\ud800',
        picture: 'x'.repeat(50_000),
      };
      const headers = { authorization: `Bearer ${await tokenWith(claims)}` };
      expect((await api.request(null, 'GET', GROUPS, undefined, headers)).status).toBe(200);
    });
  });
}
