import { createHmac } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Group, GroupEvent, GroupMember, GroupSummary, Message, Position } from '@groupcast/shared';
import {
  connectAs,
  freePort,
  received,
  type ServiceProcess,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  tokenWith,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';
import { describeDialectRoutes } from './dialect-routes.suite.ts';
import { describeDoors } from './two-doors.suite.ts';

const GROUPS = '/api/messaging/groups';
const ICE = { ICE_STUN_URLS: 'stun:s.test', ICE_TURN_URLS: 'turn:t.test', ICE_TURN_SECRET: 'shared with coturn' };

const SIGN_IN = { AUTH_TOKEN_FROM: 'header,cookie:token,query:jwt' };

/** The promises of the API, on every database. `database` gives the variables that pick one. */
export function describeApi(backend: string, database: () => Promise<Record<string, string>>): void {
  describe(`API on ${backend}`, () => {
    let relay: ServiceProcess;
    let api: ApiUnderTest;
    beforeAll(async () => {
      const port = String(await freePort());
      relay = await startRelayProcess({ API_URL: `http://127.0.0.1:${port}` });
      api = await startApiUnderTest({
        API_PORT: port,
        RELAY_URL: relay.url,
        DEMO: '1',
        API_DIALECTS: 'conversation-colon',
        ...SIGN_IN,
        ...ICE,
        ...(await database()),
      });
    });
    afterAll(async () => {
      await api.close();
      await relay.stop();
    });

    async function newGroup(owner: string, memberIds: string[] = [], extra: object = {}): Promise<Group> {
      const { status, body } = await api.request<{ group: Group }>(owner, 'POST', GROUPS, {
        name: 'Team',
        memberIds,
        ...extra,
      });
      expect(status).toBe(201);
      return body.group;
    }
    async function say(user: string, groupId: string, content: string, extra: object = {}): Promise<Message> {
      const path = `${GROUPS}/${groupId}/messages`;
      const { status, body } = await api.request<{ message: Message }>(user, 'POST', path, { content, ...extra });
      expect(status).toBe(201);
      return body.message;
    }
    /** Makes the user known, as the first request with the token does. */
    async function introduce(userId: string, profile: object): Promise<void> {
      const now = Math.floor(Date.now() / 1_000);
      const token = await tokenWith({ sub: userId, iat: now, exp: now + 60, ...profile });
      const headers = { authorization: `Bearer ${token}` };
      expect((await api.request(null, 'GET', GROUPS, undefined, headers)).status).toBe(200);
    }

    /** Asks as a relay does. */
    const asRelay = {
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      subject: 'relay',
      audience: 'groupcast-api',
    } as const;
    const relayToken = async (): Promise<string> => signServiceToken({ ...asRelay, scopes: ['relay'] });
    const askAsRelay = async <T>(path: string, body: unknown) => {
      const headers = { authorization: `Bearer ${await relayToken()}` };
      return (await api.request<T>(null, 'POST', path, body, headers)).body;
    };
    type Fill = { groups: { groupId: string; position: Position | null; events: GroupEvent[] }[] };

    /** An object in an object, so deep. */
    const nested = (depth: number): object => (depth === 0 ? {} : { a: nested(depth - 1) });
    const codeOf = (answer: { body: unknown }): string => (answer.body as { error: { code: string } }).error.code;

    describe('tokens', () => {
      test('that are missing or wrong are refused in the contract’s error shape', async () => {
        const missing = await api.request(null, 'GET', GROUPS);
        expect(missing).toEqual({
          status: 401,
          body: { error: { code: 'TOKEN_MISSING', message: expect.any(String), retryable: false } },
        });
        const wrong = await api.request(null, 'GET', GROUPS, undefined, { authorization: 'Bearer nonsense' });
        expect([wrong.status, codeOf(wrong)]).toEqual([401, 'TOKEN_INVALID']);
        const claims = { sub: 'alice', iat: 1, exp: 2 };
        const expired = await api.request(null, 'GET', GROUPS, undefined, {
          authorization: `Bearer ${await tokenWith(claims)}`,
        });
        expect(codeOf(expired)).toBe('TOKEN_EXPIRED');
      });

      test('a connection token names the user’s groups, for at most 10 minutes, and opens nothing here', async () => {
        const group = await newGroup('token-user');
        const { status, body } = await api.request<{ token: string; expiresAt: number; relayUrl: string }>(
          'token-user',
          'POST',
          '/api/realtime/token',
        );
        expect([status, body.relayUrl]).toEqual([200, relay.url]);
        const claims = decodeJwt(body.token);
        expect(claims).toMatchObject({
          sub: 'token-user',
          aud: 'groupcast-user',
          groups: [group.id],
          exp: body.expiresAt,
        });
        expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBeLessThanOrEqual(600);
        for (const [method, path] of [
          ['POST', '/api/realtime/token'],
          ['GET', GROUPS],
        ] as const) {
          const refused = await api.request(null, method, path, undefined, { authorization: `Bearer ${body.token}` });
          expect([refused.status, codeOf(refused)]).toEqual([401, 'TOKEN_INVALID']);
        }
      });

      test('a POST without a body may say that it is JSON', async () => {
        const headers = { authorization: `Bearer ${await tokenFor('alice')}`, 'content-type': 'application/json' };
        const response = await fetch(`${api.url}/api/realtime/token`, { method: 'POST', headers });
        expect(response.status).toBe(200);
        expect((await fetch(`${api.url}${GROUPS}`, { method: 'POST', headers })).status).toBe(400);
      });

      test('a connection token never outlives the user token', async () => {
        const token = await tokenFor('short-lived', [], 60);
        const headers = { authorization: `Bearer ${token}` };
        const { body } = await api.request<{ expiresAt: number }>(
          null,
          'POST',
          '/api/realtime/token',
          undefined,
          headers,
        );
        expect(body.expiresAt).toBe(decodeJwt(token).exp);
      });
    });

    describe('groups', () => {
      test('are created by an owner with members that may never have been seen; ids may be numbers', async () => {
        const { status, body } = await api.request<{ group: Group }>('alice', 'POST', GROUPS, {
          name: 'Team',
          memberIds: ['bob', 7, 'alice'],
        });
        expect(status).toBe(201);
        expect(body.group).toMatchObject({
          name: 'Team',
          kind: 'group',
          position: { epoch: expect.stringMatching(/^1-\w+$/), seq: 1 },
        });
        expect(body.group.members.map(({ userId, role }) => [userId, role]).toSorted()).toEqual([
          ['7', 'member'],
          ['alice', 'owner'],
          ['bob', 'member'],
        ]);
      });

      test('do not exist for a user who is not a member (G9)', async () => {
        const { id } = await newGroup('alice', ['bob']);
        const requests: [string, string, unknown?][] = [
          ['GET', `${GROUPS}/${id}`],
          ['GET', `${GROUPS}/${id}/members`],
          ['PATCH', `${GROUPS}/${id}`, { name: 'x' }],
          ['DELETE', `${GROUPS}/${id}`],
          ['POST', `${GROUPS}/${id}/members`, { userIds: ['eve'] }],
          ['DELETE', `${GROUPS}/${id}/members/bob`],
          ['POST', `${GROUPS}/${id}/messages`, { content: 'hi' }],
          ['GET', `${GROUPS}/${id}/messages`],
          ['GET', `${GROUPS}/${id}/events`],
          ['POST', `${GROUPS}/${id}/read`, { seq: 1 }],
          ['GET', `${GROUPS}/${id}/receipts`],
          ['GET', `${GROUPS}/none`],
        ];
        for (const [method, path, body] of requests) {
          const answer = await api.request('eve', method, path, body);
          expect([method, path, answer.status, codeOf(answer)]).toEqual([method, path, 404, 'NOT_FOUND']);
        }
        expect((await api.request<{ group: Group }>('bob', 'GET', `${GROUPS}/${id}`)).body.group.position.seq).toBe(1);
      });

      test('of kind direct are found where the two have one already, from either side and at once', async () => {
        const ask = async (user: string, other: string) =>
          api.request<{ group: Group }>(user, 'POST', GROUPS, { kind: 'direct', memberIds: [other] });
        const answers = await Promise.all([ask('d1', 'd2'), ask('d2', 'd1'), ask('d1', 'd2')]);
        expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 200, 201]);
        expect(new Set(answers.map(({ body }) => body.group.id)).size).toBe(1);
        const { id } = answers[0]?.body.group ?? { id: '' };
        expect(codeOf(await api.request('d1', 'POST', `${GROUPS}/${id}/members`, { userIds: ['d3'] }))).toBe(
          'FORBIDDEN',
        );
        expect(codeOf(await api.request('d1', 'POST', GROUPS, { kind: 'direct', memberIds: [] }))).toBe(
          'INVALID_PAYLOAD',
        );
      });

      test('may have an id of the application’s own, which is one group, and of one creator', async () => {
        const create = async (user: string, body: object) =>
          api.request<{ group: Group }>(user, 'POST', GROUPS, { name: 'Order', ...body });
        const answers = await Promise.all(
          Array.from({ length: 3 }, async () => create('shop', { id: 'order:4711', memberIds: ['buyer'] })),
        );
        expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 200, 201]);
        for (const { body } of answers) expect(body.group).toMatchObject({ id: 'order:4711', memberCount: 2 });
        // A number is the same id; what was sent again changes nothing.
        expect((await create('shop', { id: 4_711 })).status).toBe(201);
        const again = await create('shop', { id: '4711', name: 'Other', memberIds: ['else'] });
        expect([again.status, again.body.group.name, again.body.group.memberCount]).toEqual([200, 'Order', 1]);
        const taken: [string, object][] = [
          ['buyer', { id: 'order:4711' }],
          ['stranger', { id: 'order:4711' }],
          ['stranger', { id: '4711', kind: 'direct', memberIds: ['shop'] }],
          ['shop', { id: '4711', kind: 'direct', memberIds: ['buyer'] }],
        ];
        for (const [user, body] of taken) {
          const answer = await create(user, body);
          expect([user, body, answer.status, codeOf(answer)]).toEqual([user, body, 409, 'CONFLICT']);
        }
        for (const id of ['', 'a b', 'ä', '__proto__', 'x'.repeat(129), 1.5, null])
          expect(codeOf(await create('shop', { id }))).toBe('INVALID_PAYLOAD');
        // The two of a direct group find it, whatever id they ask for.
        const direct = { kind: 'direct', id: 'pair-1' };
        const first = await create('pair-a', { ...direct, memberIds: ['pair-b'] });
        const second = await create('pair-b', { ...direct, memberIds: ['pair-a'] });
        const third = await create('pair-b', { ...direct, id: 'pair-2', memberIds: ['pair-a'] });
        const fourth = await create('pair-b', { ...direct, id: 'order:4711', memberIds: ['pair-a'] });
        expect([first, second, third, fourth].map(({ status, body }) => [status, body.group.id])).toEqual([
          [201, 'pair-1'],
          [200, 'pair-1'],
          [200, 'pair-1'],
          [200, 'pair-1'],
        ]);
        // A creator who has left, or has deleted it, does not get it back.
        await api.request('shop', 'DELETE', `${GROUPS}/order:4711/members/shop`);
        expect(codeOf(await create('shop', { id: 'order:4711' }))).toBe('CONFLICT');
        await api.request('shop', 'DELETE', `${GROUPS}/4711`);
        expect(codeOf(await create('shop', { id: '4711' }))).toBe('CONFLICT');
      });

      test('have fields of the application, which an owner gives, changes and takes away', async () => {
        const { id, ...created } = await newGroup('fielder', ['bob'], { custom: { color: 'red' } });
        expect(created.custom).toEqual({ color: 'red' });
        const change = async (body: object) =>
          (await api.request<{ group: Group }>('fielder', 'PATCH', `${GROUPS}/${id}`, body)).body.group;
        const seen = async () => {
          const { groups } = (await api.request<{ groups: GroupSummary[] }>('bob', 'GET', GROUPS)).body;
          const alone = (await api.request<{ group: Group }>('bob', 'GET', `${GROUPS}/${id}`)).body.group;
          expect(groups.find((group) => group.id === id)?.custom).toEqual(alone.custom);
          return alone;
        };
        expect(await seen()).toMatchObject({ custom: { color: 'red' } });
        expect(await change({ custom: { color: 'blue', n: [1] } })).toMatchObject({ name: 'Team' });
        expect(await seen()).toMatchObject({ custom: { color: 'blue', n: [1] } });
        expect(await change({ name: 'Ours' })).toMatchObject({ custom: { color: 'blue', n: [1] } });
        expect(await change({ custom: null })).not.toHaveProperty('custom');
        expect(await seen()).not.toHaveProperty('custom');
        const large = { custom: { a: 'x'.repeat(4_096) } };
        for (const [method, path] of [
          ['PATCH', `${GROUPS}/${id}`],
          ['POST', GROUPS],
        ] as const) {
          const answer = await api.request('fielder', method, path, large);
          expect([method, answer.status, codeOf(answer)]).toEqual([method, 413, 'PAYLOAD_TOO_LARGE']);
        }
        const { body } = await api.request<{ events: GroupEvent[] }>('bob', 'GET', `${GROUPS}/${id}/events`);
        expect(body.events.map(({ event, name, custom }) => [event, name, custom])).toEqual([
          ['group-created', 'Team', { color: 'red' }],
          ['group-updated', 'Team', { color: 'blue', n: [1] }],
          ['group-updated', 'Ours', undefined],
          ['group-updated', 'Ours', null],
        ]);
      });

      test('are renamed and deleted by an owner only', async () => {
        const { id } = await newGroup('alice', ['bob']);
        expect(codeOf(await api.request('bob', 'PATCH', `${GROUPS}/${id}`, { name: 'Mine' }))).toBe('FORBIDDEN');
        const renamed = await api.request<{ group: Group }>('alice', 'PATCH', `${GROUPS}/${id}`, { name: 'Ours' });
        expect(renamed.body.group).toMatchObject({ name: 'Ours', position: { seq: 2 } });
        expect(codeOf(await api.request('bob', 'DELETE', `${GROUPS}/${id}`))).toBe('FORBIDDEN');
        expect((await api.request('alice', 'DELETE', `${GROUPS}/${id}`)).status).toBe(204);
        expect((await api.request('alice', 'GET', `${GROUPS}/${id}`)).status).toBe(404);
        expect(codeOf(await api.request('alice', 'POST', `${GROUPS}/${id}/messages`, { content: 'x' }))).toBe(
          'NOT_FOUND',
        );
      });

      test('keep their history for a time of their own, which an owner gives them and takes away', async () => {
        const { id } = await newGroup('keeper', ['bob']);
        const change = async (user: string, body: object) =>
          api.request<{ group: Group }>(user, 'PATCH', `${GROUPS}/${id}`, body);
        const seen = async () => {
          const { body } = await api.request<{ groups: Group[] }>('bob', 'GET', GROUPS);
          const listed = body.groups.find((group) => group.id === id);
          const alone = (await api.request<{ group: Group }>('bob', 'GET', `${GROUPS}/${id}`)).body.group;
          expect(listed?.retentionDays).toBe(alone.retentionDays);
          return alone;
        };
        expect(await seen()).not.toHaveProperty('retentionDays');
        expect(codeOf(await change('bob', { retentionDays: 30 }))).toBe('FORBIDDEN');
        const refused = [
          ...[0, 3_651, 1.5, -1, '30', true, [30]].map((retentionDays) => ({ retentionDays })),
          { name: 'Given', retentionDays: 0 },
          { name: '', retentionDays: 30 },
          {},
          { days: 30 },
        ];
        for (const body of refused) {
          const answer = await change('keeper', body);
          expect([body, answer.status, codeOf(answer)]).toEqual([body, 400, 'INVALID_PAYLOAD']);
        }
        // Nothing of what was refused has been done.
        expect(await seen()).toMatchObject({ name: 'Team', position: { seq: 1 } });
        for (const retentionDays of [1, 3_650]) {
          const { body } = await change('keeper', { retentionDays });
          expect(body.group).toMatchObject({ name: 'Team', retentionDays, memberCount: 2 });
          expect(await seen()).toEqual(body.group);
        }
        expect((await change('keeper', { name: 'Ours' })).body.group).toMatchObject({
          name: 'Ours',
          retentionDays: 3_650,
        });
        const both = (await change('keeper', { name: 'Mine', retentionDays: null })).body.group;
        expect(both).toMatchObject({ name: 'Mine', position: { seq: 5 } });
        expect(both).not.toHaveProperty('retentionDays');
        expect(await seen()).toEqual(both);
        const { body } = await api.request<{ events: GroupEvent[] }>('bob', 'GET', `${GROUPS}/${id}/events?after=1`);
        expect(body.events.map(({ event, name, retentionDays }) => [event, name, retentionDays])).toEqual([
          ['group-updated', 'Team', 1],
          ['group-updated', 'Team', 3_650],
          ['group-updated', 'Ours', undefined],
          ['group-updated', 'Mine', null],
        ]);
      });

      test('are listed by activity, with the last message and what is unread, page by page', async () => {
        const groups = [
          await newGroup('lister', ['other']),
          await newGroup('lister', ['other']),
          await newGroup('lister'),
        ];
        const [first, second, third] = groups.map(({ id }) => id);
        await say('other', first ?? '', 'one');
        await say('other', first ?? '', 'two');
        const list = async (query = '') =>
          (await api.request<{ groups: GroupSummary[]; nextCursor?: string }>('lister', 'GET', `${GROUPS}${query}`))
            .body;
        const all = await list();
        expect(all.groups.map(({ id, unreadCount, memberCount }) => [id, unreadCount, memberCount])).toEqual([
          [first, 2, 2],
          [third, 0, 1],
          [second, 0, 2],
        ]);
        expect(all.groups[0]?.lastMessage).toMatchObject({ content: 'two', senderId: 'other', seq: 3, groupId: first });
        expect(all).not.toHaveProperty('nextCursor');
        const page = await list('?limit=2');
        expect(page.groups.map(({ id }) => id)).toEqual([first, third]);
        expect((await list(`?limit=2&cursor=${page.nextCursor}`)).groups.map(({ id }) => id)).toEqual([second]);
        expect(codeOf(await api.request('lister', 'GET', `${GROUPS}?cursor=nonsense`))).toBe('INVALID_PAYLOAD');
        const crafted = Buffer.from('["2024","x"]').toString('base64url');
        expect(codeOf(await api.request('lister', 'GET', `${GROUPS}?cursor=${crafted}`))).toBe('INVALID_PAYLOAD');
      });

      test('a stranger cannot tell a group from none, whatever the request (G9)', async () => {
        const { id } = await newGroup('alice');
        const requests: [string, string, unknown?][] = [
          ['GET', '/members'],
          ['GET', '/receipts'],
          ['POST', '/messages', { content: 'x' }],
          ['PATCH', '', { name: 'x' }],
          ['PATCH', '', { retentionDays: 7 }],
          ['DELETE', ''],
          ['DELETE', '/members/alice'],
          ['DELETE', '/messages/m1'],
        ];
        for (const [method, path, body] of requests) {
          const [there, none] = [
            await api.request('eve', method, `${GROUPS}/${id}${path}`, body),
            await api.request('eve', method, `${GROUPS}/none${path}`, body),
          ];
          expect(JSON.stringify(there).replaceAll(id, 'none')).toBe(JSON.stringify(none));
        }
      });

      test('take additions that overlap, sent at the same time', async () => {
        const { id } = await newGroup('alice');
        const people = Array.from({ length: 30 }, (_, n) => `p${n}`);
        const answers = await Promise.all(
          Array.from({ length: 8 }, async (_, n) => {
            const userIds = n % 2 === 0 ? people : people.toReversed();
            return (await api.request('alice', 'POST', `${GROUPS}/${id}/members`, { userIds })).status;
          }),
        );
        expect(new Set(answers)).toEqual(new Set([201]));
      });

      test('keep an owner when theirs leaves', async () => {
        const { id } = await newGroup('alice', ['bob']);
        expect((await api.request('alice', 'DELETE', `${GROUPS}/${id}/members/alice`)).body).toEqual({ applied: true });
        const { body } = await api.request<{ group: Group }>('bob', 'GET', `${GROUPS}/${id}`);
        expect(body.group.members).toMatchObject([{ userId: 'bob', role: 'owner' }]);
      });
    });

    describe('members', () => {
      test('that are added or removed are in or out on live connections before the answer', async () => {
        const { id } = await newGroup('alice');
        const socket = await connectAs(relay.url, 'bob');
        try {
          await received(socket, 'joined-groups');
          const joined = received<{ groups: { groupId: string }[] }>(socket, 'joined-groups');
          const added = await api.request<{ applied: boolean; group: Group }>(
            'alice',
            'POST',
            `${GROUPS}/${id}/members`,
            {
              userIds: ['bob'],
            },
          );
          expect([added.status, added.body.applied, added.body.group.members.length]).toEqual([201, true, 2]);
          expect((await joined).groups[0]?.groupId).toBe(id);
          const [message, left] = [received<Message>(socket, 'new-message'), received(socket, 'left-groups')];
          const sent = await say('alice', id, 'hello');
          expect(await message).toEqual(sent);
          const removed = await api.request('alice', 'DELETE', `${GROUPS}/${id}/members/bob`);
          expect(removed).toEqual({ status: 200, body: { applied: true } });
          expect(await left).toEqual({ groups: [id], reason: 'member-removed' });
          expect((await api.request('bob', 'GET', `${GROUPS}/${id}`)).status).toBe(404);
        } finally {
          socket.close();
        }
      });

      test('are added and removed by an owner only; anybody may leave', async () => {
        const { id } = await newGroup('alice', ['bob', 'carol']);
        expect(codeOf(await api.request('bob', 'POST', `${GROUPS}/${id}/members`, { userIds: ['eve'] }))).toBe(
          'FORBIDDEN',
        );
        expect(codeOf(await api.request('bob', 'DELETE', `${GROUPS}/${id}/members/carol`))).toBe('FORBIDDEN');
        expect((await api.request('bob', 'DELETE', `${GROUPS}/${id}/members/bob`)).status).toBe(200);
        expect(codeOf(await api.request('alice', 'DELETE', `${GROUPS}/${id}/members/nobody`))).toBe('NOT_FOUND');
        const again = await api.request<{ group: Group }>('alice', 'POST', `${GROUPS}/${id}/members`, {
          userIds: ['carol'],
        });
        expect(again.body.group.members).toHaveLength(2);
      });

      interface Page {
        members: GroupMember[];
        memberCount: number;
        position: Position;
        nextCursor?: string;
      }
      async function pageOf(user: string, groupId: string, query = ''): Promise<Page> {
        const { status, body } = await api.request<Page>(user, 'GET', `${GROUPS}/${groupId}/members${query}`);
        expect(status).toBe(200);
        return body;
      }
      async function pagesOf(user: string, groupId: string, limit: number): Promise<Page[]> {
        const pages = [await pageOf(user, groupId, `?limit=${limit}`)];
        for (let cursor = pages[0]?.nextCursor; cursor !== undefined; cursor = pages.at(-1)?.nextCursor)
          pages.push(await pageOf(user, groupId, `?limit=${limit}&cursor=${cursor}`));
        return pages;
      }
      const idsOf = (pages: readonly Page[]): string[] =>
        pages.flatMap(({ members }) => members.map(({ userId }) => userId));
      const numbered = (prefix: string, count: number): string[] =>
        Array.from({ length: count }, (_, n) => `${prefix}${n}`);

      test('come by pages in the order in which they joined, each once, also those who joined in one moment', async () => {
        // Each of these three is one statement, and has one time of joining.
        const [first, second, third] = [numbered('f', 250), numbered('a', 1_000), numbered('m', 49)];
        const { id, ...created } = await newGroup('paged', first);
        for (const userIds of [second, third])
          expect((await api.request('paged', 'POST', `${GROUPS}/${id}/members`, { userIds })).status).toBe(201);
        const largest = await pagesOf('paged', id, 500);
        expect(largest.map(({ members }) => members.length)).toEqual([500, 500, 300]);
        const ids = idsOf(largest);
        expect(ids.slice(0, 251).toSorted()).toEqual(['paged', ...first].toSorted());
        expect(ids.slice(251, 1_251).toSorted()).toEqual(second.toSorted());
        expect(ids.slice(1_251).toSorted()).toEqual(third.toSorted());
        for (const limit of [37, 100]) {
          const pages = await pagesOf('paged', id, limit);
          expect(idsOf(pages)).toEqual(ids);
          expect(pages.slice(0, -1).every(({ members }) => members.length === limit)).toBe(true);
        }
        for (const { memberCount, position } of largest) expect([memberCount, position.seq]).toEqual([1_300, 3]);
        // A hundred by themselves, which are those that come with the group.
        const { members, nextCursor } = await pageOf('paged', id);
        expect([members.length, nextCursor]).toEqual([100, expect.any(String)]);
        const alone = await api.request<{ group: Group }>('paged', 'GET', `${GROUPS}/${id}`);
        expect(alone.body.group).toMatchObject({ members, memberCount: 1_300 });
        expect([created.memberCount, created.members.length]).toEqual([251, 100]);
        expect(created.members).toEqual(members);
      });

      test('begin with the founder of the group, whatever the others are called', async () => {
        const { id, members } = await newGroup('zoe', numbered('a', 200));
        expect(members[0]).toEqual({ userId: 'zoe', role: 'owner' });
        expect((await pageOf('a7', id, '?limit=1')).members).toEqual([{ userId: 'zoe', role: 'owner' }]);
      });

      test('that come and go between two pages leave no other out', async () => {
        const { id } = await newGroup('alice', numbered('b', 20));
        const first = await pageOf('alice', id, '?limit=10');
        const last = first.members.at(-1)?.userId ?? '';
        // The next page begins behind somebody who is gone.
        for (const gone of [last, first.members.at(-2)?.userId, 'alice'])
          expect((await api.request('alice', 'DELETE', `${GROUPS}/${id}/members/${gone}`)).status).toBe(200);
        const owner = (await pageOf(first.members[1]?.userId ?? '', id)).members[0]?.userId ?? '';
        await api.request(owner, 'POST', `${GROUPS}/${id}/members`, { userIds: [last, 'late'] });
        const second = await pageOf(owner, id, `?limit=100&cursor=${first.nextCursor}`);
        expect(second).not.toHaveProperty('nextCursor');
        expect(second.members.slice(-2).map(({ userId }) => userId)).toEqual([last, 'late'].toSorted());
        const seen = [...idsOf([first]).slice(0, -1), ...idsOf([second])];
        expect(seen.toSorted()).toEqual(['alice', 'late', ...numbered('b', 20)].toSorted());
        expect([second.memberCount, second.position.seq]).toEqual([20, 5]);
      });

      test('are not read by a stranger, nor from a cursor or with a limit that cannot be', async () => {
        const { id } = await newGroup('alice', ['bob', 'carol']);
        const { nextCursor } = await pageOf('bob', id, '?limit=1');
        expect(idsOf([await pageOf('bob', id, `?limit=1&cursor=${nextCursor}`)])).toEqual(['bob']);
        for (const path of [`${id}/members`, `${id}/members?cursor=${nextCursor}`, 'none/members']) {
          const answer = await api.request('eve', 'GET', `${GROUPS}/${path}`);
          expect([path, answer.status, codeOf(answer)]).toEqual([path, 404, 'NOT_FOUND']);
        }
        const crafted = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
        const time = '2026-01-01T00:00:00.000000Z';
        const cursors = [
          'nonsense',
          '%00',
          crafted(null),
          crafted({}),
          crafted(['2026', 'bob']),
          crafted(['2026-02-30T00:00:00.000000Z', 'bob']),
          crafted([time, 7]),
          crafted([time, '']),
          crafted([time, 'has space']),
          crafted([time, "'; drop table groups; --"]),
          crafted([time]),
          'x'.repeat(1_001),
        ];
        const queries = [
          ...cursors.map((cursor) => `cursor=${cursor}`),
          'limit=0',
          'limit=501',
          'limit=-1',
          'limit=',
          'limit=x',
        ];
        for (const query of queries) {
          const answer = await api.request('bob', 'GET', `${GROUPS}/${id}/members?${query}`);
          expect([query, answer.status, codeOf(answer)]).toEqual([query, 400, 'INVALID_PAYLOAD']);
        }
        // A user id may have a comma, a quote or a slash in it, and pages go on behind it.
        const odd = await newGroup('alice', ["o'hara", 'a,b', 'a/b', 'a"b', 'a%b']);
        expect(idsOf(await pagesOf('alice', odd.id, 1)).toSorted()).toEqual(
          ['alice', "o'hara", 'a,b', 'a/b', 'a"b', 'a%b'].toSorted(),
        );
      });

      /** The numbers of members that the answers have; the last one is counted here. */
      async function countsOf(user: string, groupId: string): Promise<number[]> {
        const alone = await api.request<{ group: Group }>(user, 'GET', `${GROUPS}/${groupId}`);
        const { groups } = (await api.request<{ groups: GroupSummary[] }>(user, 'GET', `${GROUPS}?limit=200`)).body;
        const pages = await pagesOf(user, groupId, 20);
        return [
          alone.body.group.memberCount,
          groups.find(({ id }) => id === groupId)?.memberCount ?? -1,
          ...new Set(pages.map(({ memberCount }) => memberCount)),
          idsOf(pages).length,
        ];
      }
      const fourTimes = (count: number): number[] => [count, count, count, count];

      test('are counted through additions, removals and departures, at the same time too', async () => {
        const created = await newGroup('counter', ['c1', 'c2', 'counter', 'c1']);
        const { id } = created;
        expect(created.memberCount).toBe(3);
        const add = async (userIds: string[]) =>
          (await api.request<{ group: Group }>('counter', 'POST', `${GROUPS}/${id}/members`, { userIds })).body.group
            .memberCount;
        const remove = async (user: string, other: string) =>
          (await api.request(user, 'DELETE', `${GROUPS}/${id}/members/${other}`)).status;
        expect(await countsOf('c2', id)).toEqual(fourTimes(3));
        // Somebody who is there already, and somebody twice.
        expect(await add(['c2', 'c3', 'c4', 'c3'])).toBe(5);
        expect(await add(['c2'])).toBe(5);
        expect(await countsOf('c2', id)).toEqual(fourTimes(5));
        expect([await remove('counter', 'c1'), await remove('counter', 'c1'), await remove('c3', 'c3')]).toEqual([
          200, 404, 200,
        ]);
        expect(await remove('c2', 'c4')).toBe(403);
        expect(await countsOf('c2', id)).toEqual(fourTimes(3));
        const people = numbered('crowd', 30);
        await Promise.all([
          ...numbered('', 6).map(async (_, n) => add(n % 2 === 0 ? people : people.toReversed())),
          remove('counter', 'c4'),
          remove('counter', 'c4'),
        ]);
        expect(await countsOf('c2', id)).toEqual(fourTimes(32));
        await Promise.all(people.slice(0, 10).map(async (person) => remove(person, person)));
        expect(await remove('counter', 'counter')).toBe(200);
        expect(await countsOf('c2', id)).toEqual(fourTimes(21));
      });

      test('of a direct group are two, from whichever side it is asked for', async () => {
        const ask = async (user: string, other: string) =>
          (await api.request<{ group: Group }>(user, 'POST', GROUPS, { kind: 'direct', memberIds: [other] })).body
            .group;
        const [one, other] = await Promise.all([ask('two-1', 'two-2'), ask('two-2', 'two-1')]);
        expect([one.id, one.memberCount, other.memberCount]).toEqual([other.id, 2, 2]);
        expect(await countsOf('two-1', one.id)).toEqual(fourTimes(2));
        expect((await ask('two-2', 'two-1')).memberCount).toBe(2);
        expect(await countsOf('two-2', one.id)).toEqual(fourTimes(2));
      });
    });

    describe('users', () => {
      interface Person {
        id: string;
        name?: string;
        picture?: string;
        custom?: object;
        lastSeenAt?: string;
      }
      async function namesFor(user: string, query: string): Promise<Person[]> {
        const { status, body } = await api.request<{ users: Person[] }>(user, 'GET', `/api/users?${query}`);
        expect(status).toBe(200);
        return body.users;
      }
      test('have names for those who share a group with them, or have read what they said; others learn nothing', async () => {
        await introduce('una', { name: 'Una Ä', picture: 'https://example.com/una.png', email: 'una@example.com' });
        await introduce('u,no', { name: 'Comma' });
        const { id } = await newGroup('una', ['u,no', 'uwe', 'never-seen']);
        const una = { id: 'una', name: 'Una Ä', picture: 'https://example.com/una.png' };
        expect(await namesFor('uwe', 'ids=una&ids=u%2Cno&ids=never-seen&ids=uwe')).toEqual([
          { id: 'u,no', name: 'Comma' },
          una,
          { id: 'uwe' },
        ]);
        // As a list too; an id that has a comma in it is found either way.
        expect(await namesFor('uwe', 'ids=uwe,una')).toEqual([una, { id: 'uwe' }]);
        expect(await namesFor('uwe', 'ids=u,no')).toEqual([{ id: 'u,no', name: 'Comma' }]);
        expect(await namesFor('stranger', 'ids=una,uwe,stranger')).toEqual([{ id: 'stranger' }]);
        expect(await namesFor('uwe', 'ids=')).toEqual([]);

        // A user who has left is still the author of their messages.
        await say('una', id, 'bye');
        expect((await api.request('una', 'DELETE', `${GROUPS}/${id}/members/una`)).status).toBe(200);
        expect(await namesFor('uwe', 'ids=una')).toEqual([una]);
        expect(await namesFor('una', 'ids=uwe')).toEqual([]);
      });

      const setProfile = async (user: string, body: unknown) =>
        api.request<{ user: Person & { hidesPresence: boolean } }>(user, 'PUT', '/api/users/me', body);
      const personFor = async (user: string, id: string): Promise<Person | undefined> =>
        (await namesFor(user, `ids=${id}`))[0];

      test('set a profile that stands above what tokens say, and shows wherever they do', async () => {
        await introduce('pia', { name: 'Token Name', picture: 'https://example.com/token.png' });
        const { id } = await newGroup('pia', ['pim']);
        const before = await say('pia', id, 'before');
        expect(before.sender.name).toBe('Token Name');
        const custom = { pronouns: 'she', tags: ['a'] };
        const set = await setProfile('pia', { name: ' Pia ', picture: 'https://example.com/own.png', custom });
        const pia = { id: 'pia', name: 'Pia', picture: 'https://example.com/own.png', custom };
        expect([set.status, set.body.user]).toEqual([200, { ...pia, hidesPresence: false }]);
        await introduce('pia', { name: 'Newer Token Name' });
        expect(await personFor('pim', 'pia')).toEqual(pia);
        expect((await api.request('pia', 'GET', '/api/users/me')).body).toEqual(set.body);
        const { name, picture } = pia;
        const sender = { userId: 'pia', name, picture, custom };
        expect((await say('pia', id, 'after')).sender).toEqual(sender);
        // Earlier messages are theirs too.
        const page = await api.request<{ messages: Message[] }>('pim', 'GET', `${GROUPS}/${id}/messages`);
        expect(page.body.messages.map((message) => message.sender)).toEqual([sender, sender]);
        const group = await api.request<{ group: Group }>('pim', 'GET', `${GROUPS}/${id}`);
        expect(group.body.group.members[0]).toEqual({ userId: 'pia', role: 'owner', name: 'Pia' });
        // A field that is not given stays, and null gives the token its say again.
        expect((await setProfile('pia', { name: null })).body.user).toMatchObject({
          name: 'Newer Token Name',
          picture,
        });
        expect((await setProfile('pia', { custom: null, picture: null })).body.user).toEqual({
          id: 'pia',
          name: 'Newer Token Name',
          picture: 'https://example.com/token.png',
          hidesPresence: false,
        });
        expect((await setProfile('pia', {})).status).toBe(200);
      });

      test('have no profile that cannot be', async () => {
        const bodies: [unknown, number, string][] = [
          [{ name: '' }, 400, 'INVALID_PAYLOAD'],
          [{ name: 'x'.repeat(201) }, 400, 'INVALID_PAYLOAD'],
          [{ name: 'a\0b' }, 400, 'INVALID_PAYLOAD'],
          [{ picture: 'javascript:alert(1)' }, 400, 'INVALID_PAYLOAD'],
          [{ picture: '/own.png' }, 400, 'INVALID_PAYLOAD'],
          [{ picture: `https://example.com/${'x'.repeat(2_048)}` }, 400, 'INVALID_PAYLOAD'],
          [{ custom: [] }, 400, 'INVALID_PAYLOAD'],
          [{ custom: nested(50) }, 400, 'INVALID_PAYLOAD'],
          [{ custom: { a: 'x'.repeat(4_096) } }, 413, 'PAYLOAD_TOO_LARGE'],
          [{ hidesPresence: null }, 400, 'INVALID_PAYLOAD'],
          [{ hidesPresence: 'yes' }, 400, 'INVALID_PAYLOAD'],
          ['[]', 400, 'INVALID_PAYLOAD'],
        ];
        for (const [body, status, code] of bodies) {
          const answer = await setProfile('picky', body);
          expect([body, answer.status, codeOf(answer)]).toEqual([body, status, code]);
        }
        expect((await api.request('picky', 'GET', '/api/users/me')).body).toEqual({
          user: { id: 'picky', hidesPresence: false },
        });
        // As deep as it may be, a profile keeps no message from the relay.
        expect((await setProfile('picky', { custom: nested(49) })).status).toBe(200);
        const { id } = await newGroup('picky');
        const { seq } = await say('picky', id, 'x');
        await until('the relay to have it', async () => {
          const fill = await askAsRelay<Fill>('/internal/history', { groups: [id], limit: 1 });
          return fill.groups[0]?.position?.seq === seq;
        });
        const { events } = (await api.request<{ events: GroupEvent[] }>('picky', 'GET', `${GROUPS}/${id}/events`)).body;
        expect(events.at(-1)).toMatchObject({ event: 'new-message', sender: { custom: nested(49) } });
      });

      test('see no state of the hops behind the API, which relays and operators are told', async () => {
        const headers = { authorization: `Bearer ${await relayToken()}` };
        const kind = (
          await api.request<{ database: { kind: string } }>(null, 'GET', '/internal/health', undefined, headers)
        ).body.database.kind;
        expect(['embedded', 'postgres']).toContain(kind);
        await until('the API to be connected to the relay', async () => {
          const { body } = await api.request(null, 'GET', '/internal/health', undefined, headers);
          return isDeepStrictEqual(body, {
            database: { kind, state: 'writable', missingMigrations: [], isPooled: false },
            relay: { connected: true },
          });
        });
        const refused = await api.request('alice', 'GET', '/internal/health');
        expect([refused.status, codeOf(refused)]).toEqual([401, 'SERVICE_TOKEN_INVALID']);
      });

      test('were last seen when a relay has said so, to those who share a group with them', async () => {
        await introduce('seen-a', { name: 'A' });
        const { id } = await newGroup('seen-a', ['seen-b']);
        await api.request('seen-b', 'GET', GROUPS);
        expect(await personFor('seen-b', 'seen-a')).not.toHaveProperty('lastSeenAt');
        const start = Date.now() - 1_000;
        await askAsRelay('/internal/presence', { userIds: ['seen-a', 'seen-b', 'nobody', 7] });
        const first = (await personFor('seen-b', 'seen-a'))?.lastSeenAt ?? '';
        expect(Date.parse(first)).toBeGreaterThan(start);
        // Once a minute and user.
        await askAsRelay('/internal/presence', { userIds: ['seen-a'] });
        expect((await personFor('seen-b', 'seen-a'))?.lastSeenAt).toBe(first);
        expect((await personFor('seen-a', 'seen-a'))?.lastSeenAt).toBe(first);
        // Somebody who has left is known as an author alone.
        await say('seen-a', id, 'bye');
        await api.request('seen-a', 'DELETE', `${GROUPS}/${id}/members/seen-a`);
        expect(await personFor('seen-b', 'seen-a')).toEqual({ id: 'seen-a', name: 'A' });
        const many = Array.from({ length: 1_001 }, (_, n) => `u${n}`);
        const headers = { authorization: `Bearer ${await relayToken()}` };
        const refused = await api.request(null, 'POST', '/internal/presence', { userIds: many }, headers);
        expect(codeOf(refused)).toBe('INVALID_PAYLOAD');
        expect(codeOf(await api.request('seen-a', 'POST', '/internal/presence', { userIds: [] }))).toBe(
          'SERVICE_TOKEN_INVALID',
        );
      });

      test('with a hidden presence were never seen, and their tokens for the relay say so (G70)', async () => {
        const { id: shared } = await newGroup('shy', ['eye']);
        const claimOf = async (): Promise<unknown> => {
          const { body } = await api.request<{ token: string }>('shy', 'POST', '/api/realtime/token');
          return decodeJwt(body.token)['presence'];
        };
        await askAsRelay('/internal/presence', { userIds: ['shy'] });
        expect([await personFor('eye', 'shy'), await claimOf()]).toEqual([
          { id: 'shy', lastSeenAt: expect.any(String) },
          undefined,
        ]);
        const socket = await connectAs(relay.url, 'shy');
        try {
          await received(socket, 'joined-groups');
          const [endings, messages]: [unknown[], unknown[]] = [[], []];
          socket.on('new-message', (payload: unknown) => void messages.push(payload));
          socket.on('session-ending', (payload: unknown) => void endings.push(payload));
          const ending = received(socket, 'session-ending');
          for (let time = 1; time <= 5; time += 1) {
            expect((await setProfile('shy', { hidesPresence: true })).body.user).toEqual({
              id: 'shy',
              hidesPresence: true,
            });
          }
          // A connection that is there gets a token without presence before its own has expired.
          expect(await ending).toMatchObject({ code: 'PRESENCE_CHANGED', next: 'refresh-token' });
          expect(socket.connected).toBe(true);
          // One that asks for what it has already costs the relays nothing.
          await until('the last message', async () => {
            await say('shy', shared, 'x');
            return messages.length > 0;
          });
          expect(endings).toHaveLength(1);
        } finally {
          socket.close();
        }
        await askAsRelay('/internal/presence', { userIds: ['shy'] });
        expect([await personFor('eye', 'shy'), await personFor('shy', 'shy'), await claimOf()]).toEqual([
          { id: 'shy' },
          { id: 'shy' },
          false,
        ]);
        // Nothing of the time before is shown again.
        await setProfile('shy', { name: 'Shy', hidesPresence: false });
        expect([await personFor('eye', 'shy'), await claimOf()]).toEqual([{ id: 'shy', name: 'Shy' }, undefined]);
        await askAsRelay('/internal/presence', { userIds: ['shy'] });
        expect(await personFor('eye', 'shy')).toHaveProperty('lastSeenAt');
      });

      test('are asked for by ids that can be, a hundred at most', async () => {
        const many = Array.from({ length: 101 }, (_, n) => `ids=u${n}`).join('&');
        for (const query of [
          '',
          many,
          `ids=${many.replaceAll('&ids=', ',').slice(4)}`,
          'ids=a%00b',
          'ids=a%20b',
          'ids=%C3%AB',
        ]) {
          const answer = await api.request('alice', 'GET', `/api/users?${query}`);
          expect([query, answer.status, codeOf(answer)]).toEqual([query, 400, 'INVALID_PAYLOAD']);
        }
        expect(codeOf(await api.request(null, 'GET', '/api/users?ids=alice'))).toBe('TOKEN_MISSING');
      });
    });

    test('a group whose events could not be relayed is not created', async () => {
      const memberIds = Array.from({ length: 900 }, (_, n) => `${n}-${'x'.repeat(90)}`);
      const answer = await api.request('alice', 'POST', GROUPS, { name: 'Crowd', memberIds });
      expect([answer.status, codeOf(answer)]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    });

    describe('messages', () => {
      test('are saved with the next position of the group', async () => {
        const { id, position } = await newGroup('alice');
        const first = await say('alice', id, 'one');
        const second = await say('alice', id, 'two', { attachments: [{ url: 'https://example.com/a.png' }] });
        expect(first).toEqual({
          id: expect.any(String),
          groupId: id,
          epoch: position.epoch,
          seq: 2,
          senderId: 'alice',
          sender: { userId: 'alice' },
          kind: 'text',
          content: 'one',
          createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
        });
        expect(second).toMatchObject({ seq: 3, attachments: [{ url: 'https://example.com/a.png' }] });
      });

      test('have their sender, their kind and the application’s fields wherever they are (G69)', async () => {
        const custom = { mood: 'good', nested: [{ deep: null }] };
        const sender = { userId: 'sam', name: 'Sam Ä', picture: 'https://example.com/sam.png' };
        await introduce('sam', { name: sender.name, picture: sender.picture });
        const socket = await connectAs(relay.url, 'alice');
        try {
          await received(socket, 'joined-groups');
          const joined = received(socket, 'joined-groups');
          const { id } = await newGroup('alice', ['sam']);
          await joined;
          const live = received<Message>(socket, 'new-message');
          const sent = await say('sam', id, 'hello', { kind: 'poll', custom, clientMessageId: 'k' });
          expect(sent).toMatchObject({ sender, kind: 'poll', custom });
          expect(await live).toEqual(sent);
          expect(await say('sam', id, 'again', { clientMessageId: 'k' })).toEqual(sent);
          const { messages } = (
            await api.request<{ messages: Message[] }>('alice', 'GET', `${GROUPS}/${id}/messages?after=0`)
          ).body;
          expect(messages).toEqual([sent]);
          const { groups } = (await api.request<{ groups: GroupSummary[] }>('alice', 'GET', GROUPS)).body;
          expect(groups.find((group) => group.id === id)?.lastMessage).toEqual(sent);
          const { events } = (
            await api.request<{ events: GroupEvent[] }>('alice', 'GET', `${GROUPS}/${id}/events?after=1`)
          ).body;
          expect(events).toEqual([{ ...sent, event: 'new-message' }]);
          const filled = await until('the relay to have it', async () => {
            const fill = await askAsRelay<Fill>('/internal/history', { groups: [id], limit: 1 });
            return fill.groups[0]?.position?.seq === sent.seq ? fill.groups[0].events : undefined;
          });
          expect(filled).toEqual([{ ...sent, event: 'new-message' }]);
          // One who is never seen has no more than an id, and no other message has fields of this one.
          const plain = await say('alice', id, 'plain');
          expect([plain.sender, plain.kind]).toEqual([{ userId: 'alice' }, 'text']);
          expect(plain).not.toHaveProperty('custom');
        } finally {
          socket.close();
        }
      });

      test('of the service are not sent by users, and fields of the application have 4,096 bytes', async () => {
        const { id } = await newGroup('alice');
        const path = `${GROUPS}/${id}/messages`;
        const ofBytes = (bytes: number, letter = 'x') => ({
          a: letter.repeat((bytes - 8) / Buffer.byteLength(letter)),
        });
        const refused: [object, number, string][] = [
          [{ kind: 'system' }, 403, 'FORBIDDEN'],
          [{ kind: 'System' }, 400, 'INVALID_PAYLOAD'],
          [{ kind: 'x'.repeat(33) }, 400, 'INVALID_PAYLOAD'],
          [{ custom: ofBytes(4_097) }, 413, 'PAYLOAD_TOO_LARGE'],
          [{ custom: ofBytes(4_098, 'ä') }, 413, 'PAYLOAD_TOO_LARGE'],
          [{ custom: ['list'] }, 400, 'INVALID_PAYLOAD'],
          [{ custom: null }, 400, 'INVALID_PAYLOAD'],
          [{ custom: { a: '\0' } }, 400, 'INVALID_PAYLOAD'],
          [{ custom: nested(50) }, 400, 'INVALID_PAYLOAD'],
          [{ custom: { a: 'x'.repeat(65_000) } }, 413, 'PAYLOAD_TOO_LARGE'],
        ];
        for (const [fields, status, code] of refused) {
          const answer = await api.request('alice', 'POST', path, { content: 'x', ...fields });
          expect([fields, answer.status, codeOf(answer)]).toEqual([fields, status, code]);
        }
        for (const custom of [ofBytes(4_096), ofBytes(4_096, 'ä'), nested(49), {}])
          expect((await say('alice', id, 'x', { custom })).custom).toEqual(custom);
        const { id: messageId } = await say('alice', id, 'x');
        const edited = await api.request('alice', 'PATCH', `${path}/${messageId}`, { custom: ofBytes(4_097) });
        expect([edited.status, codeOf(edited)]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
      });

      test('are edited in their words, in the application’s fields, or both, and the event says which', async () => {
        const { id } = await newGroup('alice', ['bob']);
        const { id: messageId } = await say('alice', id, 'one', { custom: { a: 1 }, kind: 'poll' });
        const edit = async (body: object) =>
          (await api.request<{ message: Message }>('alice', 'PATCH', `${GROUPS}/${id}/messages/${messageId}`, body))
            .body.message;
        expect(await edit({ custom: { b: 2 } })).toMatchObject({ content: 'one', custom: { b: 2 }, kind: 'poll' });
        expect(await edit({ content: 'two' })).toMatchObject({ content: 'two', custom: { b: 2 }, kind: 'poll' });
        expect(await edit({ content: 'three', custom: null })).not.toHaveProperty('custom');
        const last = await edit({ custom: { secret: 'fields' } });
        expect(last).toMatchObject({ content: 'three', custom: { secret: 'fields' }, sender: { userId: 'alice' } });
        for (const body of [{}, { custom: 'x' }, { content: '' }, { content: null }]) {
          const answer = await api.request('alice', 'PATCH', `${GROUPS}/${id}/messages/${messageId}`, body);
          expect([body, answer.status, codeOf(answer)]).toEqual([body, 400, 'INVALID_PAYLOAD']);
        }
        const events = async () =>
          (await api.request<{ events: GroupEvent[] }>('bob', 'GET', `${GROUPS}/${id}/events?after=1`)).body.events;
        expect((await events()).map(({ event, content, custom }) => [event, content, custom])).toEqual([
          ['new-message', 'three', { secret: 'fields' }],
          ['message-updated', 'one', { b: 2 }],
          ['message-updated', 'two', undefined],
          ['message-updated', 'three', null],
          ['message-updated', 'three', { secret: 'fields' }],
        ]);
        await api.request('alice', 'DELETE', `${GROUPS}/${id}/messages/${messageId}`);
        expect(JSON.stringify(await events())).not.toMatch(/fields|"b"|three/);
      });

      test('may not become too large for the relay by an edit of one part', async () => {
        const { id } = await newGroup('alice');
        const attachments = Array.from({ length: 4 }, () => ({ a: 'x'.repeat(15_000) }));
        const { id: messageId } = await say('alice', id, 'x', { attachments });
        const path = `${GROUPS}/${id}/messages/${messageId}`;
        const answer = await api.request('alice', 'PATCH', path, { content: 'y'.repeat(6_000) });
        expect([answer.status, codeOf(answer)]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
        expect((await api.request('alice', 'PATCH', path, { content: 'y'.repeat(3_000) })).status).toBe(200);
      });

      test('repeated under one clientMessageId are one message, also when sent at the same time (G4)', async () => {
        const { id } = await newGroup('alice', ['bob']);
        const repeated = await Promise.all(
          Array.from({ length: 5 }, () => say('alice', id, 'once', { clientMessageId: 'c1' })),
        );
        expect(new Set(repeated.map((message) => JSON.stringify(message))).size).toBe(1);
        const other = await say('bob', id, 'mine', { clientMessageId: 'c1' });
        expect(other.id).not.toBe(repeated[0]?.id);
        const path = `${GROUPS}/${id}/messages`;
        const byHeader = await api.request<{ message: Message }>(
          'alice',
          'POST',
          path,
          { content: 'x' },
          { 'idempotency-key': 'c1' },
        );
        expect([byHeader.status, byHeader.body.message]).toEqual([201, repeated[0]]);
        expect((await api.request<{ messages: Message[] }>('bob', 'GET', path)).body.messages).toHaveLength(2);
      });

      test('sent at the same time get positions without holes', async () => {
        const { id } = await newGroup('alice');
        const messages = await Promise.all(Array.from({ length: 25 }, (_, n) => say('alice', id, `m${n}`)));
        expect(messages.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: 25 }, (_, n) => n + 2),
        );
      });

      test('are paged by seq, exclusive, newest last, with the position of the same snapshot', async () => {
        const { id } = await newGroup('alice');
        for (let n = 1; n <= 6; n += 1) await say('alice', id, `m${n}`);
        const page = async (query: string) => {
          const { body } = await api.request<{ messages: Message[]; position: Position }>(
            'alice',
            'GET',
            `${GROUPS}/${id}/messages${query}`,
          );
          return [body.messages.map(({ content }) => content).join(' '), body.position.seq];
        };
        expect(await page('')).toEqual(['m1 m2 m3 m4 m5 m6', 7]);
        expect(await page('?limit=2')).toEqual(['m5 m6', 7]);
        expect(await page('?before=6&limit=2')).toEqual(['m3 m4', 7]);
        expect(await page('?after=3&limit=2')).toEqual(['m3 m4', 7]);
        expect(await page('?after=3&before=5')).toEqual(['m3', 7]);
        for (const query of [
          '?limit=0',
          '?limit=201',
          '?limit=',
          '?before=-1',
          '?after=1.5',
          '?after=99999999999999999',
        ]) {
          expect(codeOf(await api.request('alice', 'GET', `${GROUPS}/${id}/messages${query}`))).toBe('INVALID_PAYLOAD');
        }
      });

      test('that cannot be saved or relayed are refused before they take a position', async () => {
        const { id } = await newGroup('alice');
        const path = `${GROUPS}/${id}/messages`;
        const refused: [unknown, number, string][] = [
          [{ content: 'x'.repeat(65_537) }, 413, 'PAYLOAD_TOO_LARGE'],
          [{ content: 'x'.repeat(600_000) }, 413, 'PAYLOAD_TOO_LARGE'],
          [{}, 400, 'INVALID_PAYLOAD'],
          [{ content: '' }, 400, 'INVALID_PAYLOAD'],
          [{ content: 7 }, 400, 'INVALID_PAYLOAD'],
          [{ content: 'nul \0 byte' }, 400, 'INVALID_PAYLOAD'],
          ['{"content":"\\ud800"}', 400, 'INVALID_PAYLOAD'],
          [{ content: 'x', attachments: [{ a: '\0' }] }, 400, 'INVALID_PAYLOAD'],
          [{ content: 'x', attachments: ['text'] }, 400, 'INVALID_PAYLOAD'],
          [{ content: 'x', attachments: [nested(63)] }, 400, 'INVALID_PAYLOAD'],
          [{ content: 'x', clientMessageId: 'x'.repeat(129) }, 400, 'INVALID_PAYLOAD'],
          ['{"content":', 400, 'INVALID_PAYLOAD'],
        ];
        for (const [body, status, code] of refused) {
          const answer = await api.request('alice', 'POST', path, body);
          expect([String(body).slice(0, 40), answer.status, codeOf(answer)]).toEqual([
            String(body).slice(0, 40),
            status,
            code,
          ]);
        }
        expect((await say('alice', id, 'x'.repeat(65_000))).seq).toBe(2);
      });

      test('are edited and deleted by their sender only, and a deleted one leaves no words behind (G16)', async () => {
        const { id } = await newGroup('alice', ['bob']);
        const { id: messageId } = await say('alice', id, 'a secret', { attachments: [{ name: 'secret.pdf' }] });
        const path = `${GROUPS}/${id}/messages/${messageId}`;
        expect(codeOf(await api.request('bob', 'PATCH', path, { content: 'mine' }))).toBe('FORBIDDEN');
        expect(codeOf(await api.request('bob', 'DELETE', path))).toBe('FORBIDDEN');
        const edited = await api.request<{ message: Message }>('alice', 'PATCH', path, { content: 'another secret' });
        expect(edited.body.message).toMatchObject({
          id: messageId,
          seq: 2,
          content: 'another secret',
          updatedAt: expect.any(String),
        });
        expect((await api.request('alice', 'DELETE', path)).status).toBe(204);
        expect(codeOf(await api.request('alice', 'DELETE', path))).toBe('NOT_FOUND');
        const { body } = await api.request<{ events: GroupEvent[] }>('bob', 'GET', `${GROUPS}/${id}/events`);
        expect(body.events.map(({ event, seq }) => [event, seq])).toEqual([
          ['group-created', 1],
          ['new-message', 2],
          ['message-updated', 3],
          ['message-deleted', 4],
        ]);
        expect(body.events[3]).toMatchObject({ messageId, messageSeq: 2, senderId: 'alice' });
        expect(JSON.stringify(body)).not.toContain('secret');
        const list = await api.request('bob', 'GET', `${GROUPS}/${id}/messages`);
        expect(list.body).toMatchObject({ messages: [], position: { seq: 4 } });
      });
    });

    describe('catch-up', () => {
      test('gives every event after a position, oldest first, page by page', async () => {
        const { id, position } = await newGroup('alice');
        for (let n = 1; n <= 5; n += 1) await say('alice', id, `m${n}`);
        const events = async (query: string) =>
          (
            await api.request<{ events: GroupEvent[]; position: Position; more: boolean; reset?: boolean }>(
              'alice',
              'GET',
              `${GROUPS}/${id}/events${query}`,
            )
          ).body;
        const first = await events(`?after=2&limit=2&epoch=${position.epoch}`);
        expect([first.events.map(({ seq }) => seq), first.position.seq, first.more]).toEqual([[3, 4], 4, true]);
        const second = await events(`?after=4&limit=2`);
        expect([second.events.map(({ seq }) => seq), second.position.seq, second.more]).toEqual([[5, 6], 6, false]);
        expect(second.events[0]).toMatchObject({ event: 'new-message', groupId: id, content: 'm4', senderId: 'alice' });
        expect(await events('?after=6')).toEqual({
          events: [],
          position: { epoch: position.epoch, seq: 6 },
          more: false,
        });
        const reset = { reset: true, events: [], position: { epoch: position.epoch, seq: 6 }, more: false };
        expect(await events('?after=2&epoch=1-other')).toEqual(reset);
        expect(await events('?after=7')).toEqual(reset);
      });
    });

    describe('unread', () => {
      test('counts messages by others above the read cursor, which only moves forward and with one’s own messages', async () => {
        const { id } = await newGroup('alice', ['bob']);
        const unread = async (user: string) => {
          const { body } = await api.request<{ groups: GroupSummary[] }>(user, 'GET', GROUPS);
          return body.groups.find((group) => group.id === id)?.unreadCount;
        };
        await say('alice', id, 'one');
        const { id: second } = await say('alice', id, 'two');
        await say('alice', id, 'three');
        expect([await unread('bob'), await unread('alice')]).toEqual([3, 0]);
        expect((await api.request('bob', 'POST', `${GROUPS}/${id}/read`, { seq: 2 })).body).toEqual({
          readSeq: 2,
          unreadCount: 2,
          position: { epoch: expect.any(String), seq: 4 },
        });
        expect((await api.request('bob', 'POST', `${GROUPS}/${id}/read`, { seq: 1 })).body).toMatchObject({
          readSeq: 2,
          unreadCount: 2,
        });
        await api.request('alice', 'DELETE', `${GROUPS}/${id}/messages/${second}`);
        expect(await unread('bob')).toBe(1);
        await say('bob', id, 'four');
        expect([await unread('bob'), await unread('alice')]).toEqual([0, 1]);
        expect((await api.request('alice', 'POST', `${GROUPS}/${id}/read`, { seq: 1_000 })).body).toMatchObject({
          readSeq: 6,
          unreadCount: 0,
        });
      });
    });

    describe('receipts', () => {
      test('are the cursors of every member, and what one has read or said one has received', async () => {
        const { id } = await newGroup('alice', ['bob', 'carol', 'dave']);
        for (let n = 2; n <= 5; n += 1) await say('alice', id, `m${n}`);
        await api.request('bob', 'POST', `${GROUPS}/${id}/read`, { seq: 3 });
        await askAsRelay('/internal/cursors', { cursors: [{ groupId: id, userId: 'carol', received: 4, read: 2 }] });
        const read = async () => (await api.request('dave', 'GET', `${GROUPS}/${id}/receipts`)).body;
        expect(await read()).toEqual({
          memberCount: 4,
          position: { epoch: expect.any(String), seq: 5 },
          users: {
            alice: { received: 5, read: 5 },
            bob: { received: 3, read: 3 },
            carol: { received: 4, read: 2 },
            dave: { received: 0, read: 0 },
          },
        });
        await say('dave', id, 'm6');
        await api.request('alice', 'DELETE', `${GROUPS}/${id}/members/bob`);
        expect(await read()).toMatchObject({
          memberCount: 3,
          position: { seq: 7 },
          users: { alice: { read: 5 }, carol: { received: 4, read: 2 }, dave: { received: 6, read: 6 } },
        });
        expect(Object.keys((await read())['users'] as object)).toHaveLength(3);
        expect(codeOf(await api.request('bob', 'GET', `${GROUPS}/${id}/receipts`))).toBe('NOT_FOUND');
      });
    });

    test('servers for calls come with credentials, to users alone, and nobody keeps the answer', async () => {
      const { status, body } = await api.request<{ iceServers: object[]; expiresAt: number }>(
        'alice',
        'GET',
        '/api/realtime/ice-servers',
      );
      const username = `${body.expiresAt}:alice`;
      const credential = createHmac('sha1', ICE.ICE_TURN_SECRET).update(username).digest('base64');
      expect([status, body.iceServers]).toEqual([
        200,
        [{ urls: ['stun:s.test'] }, { urls: ['turn:t.test'], username, credential }],
      ]);
      expect(Math.abs(body.expiresAt - Date.now() / 1_000 - 3_600)).toBeLessThan(60);
      const headers = { authorization: `Bearer ${await tokenFor('alice')}` };
      const response = await fetch(`${api.url}/api/realtime/ice-servers`, { headers });
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(codeOf(await api.request(null, 'GET', '/api/realtime/ice-servers'))).toBe('TOKEN_MISSING');
    });

    describe('the demo', () => {
      test('logs in by name, and puts everybody into the lobby', async () => {
        const login = await api.request<{ user: { id: string }; token: string }>(null, 'POST', '/api/demo/login', {
          name: 'Zoë',
        });
        expect(login.body.user).toEqual({ id: 'demo:Zo%C3%AB', name: 'Zoë' });
        const headers = { authorization: `Bearer ${login.body.token}` };
        const { body } = await api.request<{ group: Group }>(null, 'GET', `${GROUPS}/lobby`, undefined, headers);
        expect(body.group.members).toContainEqual({ userId: 'demo:Zo%C3%AB', role: 'member', name: 'Zoë' });
        // Those who have logged in, each once, and not the one who has made it.
        await api.request(null, 'POST', '/api/demo/login', { name: 'Zoë' });
        await api.request(null, 'POST', '/api/demo/login', { name: 'Yan' });
        const path = `${GROUPS}/lobby/members`;
        const lobby = (await api.request<{ members: GroupMember[] }>(null, 'GET', path, undefined, headers)).body;
        expect(lobby).toMatchObject({ memberCount: lobby.members.length });
        expect(lobby.members.map(({ userId }) => userId)).toEqual(['demo:Zo%C3%AB', 'demo:Yan']);
        // A guest who owned it could delete it.
        expect(lobby.members.filter(({ role }) => role === 'owner')).toEqual([]);
        for (const name of [' ', '名'.repeat(30)]) {
          expect(codeOf(await api.request(null, 'POST', '/api/demo/login', { name }))).toBe('INVALID_PAYLOAD');
        }
      });

      test('is served compressed; files with a hash in their name are cached for a year, others are asked for again', async () => {
        const get = async (path: string, encoding: string) =>
          fetch(`${api.url}${path}`, { headers: { 'accept-encoding': encoding } });
        const page = await get('/', 'br, gzip');
        expect([page.status, page.headers.get('cache-control'), page.headers.get('content-encoding')]).toEqual([
          200,
          'no-cache',
          'br',
        ]);
        const html = await page.text();
        const assets = Array.from(html.matchAll(/(?:src|href)="\.(\/assets\/[^"]+)"/g), (match) => match[1] ?? '');
        expect(assets.length).toBeGreaterThan(1);
        for (const path of assets) {
          for (const encoding of ['br', 'gzip', 'identity']) {
            const { status, headers } = await get(path, encoding);
            expect([path, status, headers.get('content-encoding') ?? 'identity']).toEqual([path, 200, encoding]);
            expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
            expect(headers.get('vary')?.toLowerCase()).toContain('accept-encoding');
          }
        }
        const icon = await get('/favicon.svg', 'gzip');
        expect([icon.headers.get('cache-control'), icon.headers.get('content-type')]).toEqual([
          'no-cache',
          'image/svg+xml',
        ]);
        const again = await fetch(`${api.url}/`, {
          headers: {
            'if-none-match': page.headers.get('etag') ?? '',
            'cache-control': 'max-age=0',
            'accept-encoding': 'br, gzip',
          },
        });
        expect(again.status).toBe(304);
      });
    });

    describe('for the relay', () => {
      test('tells who is a member of what, in one request, to service tokens of scope relay only', async () => {
        const { id } = await newGroup('alice', ['bob']);
        const gone = await newGroup('alice', ['bob']);
        await api.request('alice', 'DELETE', `${GROUPS}/${gone.id}`);
        const options = {
          secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
          subject: 'relay',
          audience: 'groupcast-api',
        } as const;
        const token = await signServiceToken({ ...options, scopes: ['relay'] });
        const users = ['bob', 'eve'].map((userId) => ({ userId, groupIds: [id, gone.id, 'none'] }));
        const ask = async (bearer: string) =>
          api.request(null, 'POST', '/internal/memberships', { users }, { authorization: `Bearer ${bearer}` });
        expect((await ask(token)).body).toEqual({
          users: [
            { userId: 'bob', groupIds: [id] },
            { userId: 'eve', groupIds: [] },
          ],
        });
        expect((await ask(await signServiceToken({ ...options, scopes: ['broadcast'] }))).status).toBe(403);
        expect(
          (await ask(await signServiceToken({ ...options, scopes: ['relay'], audience: 'groupcast-relay' }))).status,
        ).toBe(401);
        expect((await ask(await tokenFor('alice'))).status).toBe(401);
      });
    });

    describeDoors(() => ({ api, relayUrl: relay.url }));
    describeDialectRoutes(() => ({ api, relayUrl: relay.url }));

    describe('for a relay that has just started', () => {
      test('gives the newest events that a relay has accepted, without holes', async () => {
        const { id, position } = await newGroup('alice');
        for (let n = 1; n <= 5; n += 1) await say('alice', id, `m${n}`);
        const { groups } = await until('the relay to have them', async () => {
          const fill = await askAsRelay<Fill>('/internal/history', { groups: ['none', id], limit: 3 });
          return fill.groups[1]?.position?.seq === 6 ? fill : undefined;
        });
        expect(groups[0]).toEqual({ groupId: 'none', position: null, events: [] });
        expect(groups[1]?.position).toEqual({ epoch: position.epoch, seq: 6 });
        expect(groups[1]?.events.map(({ seq, event, content }) => [seq, event, content])).toEqual([
          [4, 'new-message', 'm3'],
          [5, 'new-message', 'm4'],
          [6, 'new-message', 'm5'],
        ]);
        await api.request('alice', 'GET', `${GROUPS}/${id}/events?after=1`);
        const metrics = await (await fetch(`${api.internalUrl}/metrics`)).text();
        expect(metrics).toMatch(/groupcast_api_outbox_lag_seconds_count [1-9]/);
        expect(metrics).toMatch(/groupcast_api_caught_up_events_total\{by="client"\} (?:[5-9]|\d{2,})/);
        expect(metrics).toMatch(/groupcast_api_caught_up_events_total\{by="relay"\} (?:[3-9]|\d{2,})/);
      });

      test('says how many members a group has whose cursors it is told, and tells senders numbers in large ones', async () => {
        const small = await newGroup('alice', ['bob']);
        const crowd = Array.from({ length: 101 }, (_, n) => `crowd-${n}`);
        const { id } = await newGroup('alice', crowd);
        type Told = { groups: Record<string, { memberCount: number; counts?: object[] }> };
        const report = async (cursors: object[]) => (await askAsRelay<Told>('/internal/cursors', { cursors })).groups;
        const at = (userId: string, seq: object, groupId = id) => ({ groupId, userId, ...seq });
        await say('alice', small.id, 'x');
        await say('alice', id, 'first by alice');
        const { seq: second } = await say('crowd-0', id, 'by crowd-0');
        const { seq: third } = await say('alice', id, 'second by alice');
        expect(
          await report([
            at('bob', { read: 2 }, small.id),
            at('bob', { read: 1 }, 'none'),
            at('crowd-1', { received: 2 }),
          ]),
        ).toEqual({ [small.id]: { memberCount: 2, seq: 2 }, [id]: { memberCount: 102, seq: third } });
        // Where the group stands, however far a client says that it is.
        expect(await report([at('bob', { read: Number.MAX_SAFE_INTEGER }, small.id)])).toEqual({
          [small.id]: { memberCount: 2, seq: 2 },
        });
        // Only messages that the cursors have moved over, and of each sender the newest one. The sender is not counted.
        expect(await report([at('crowd-1', { received: second }), at('alice', { read: third })])).toEqual({
          [id]: { memberCount: 102, seq: third, counts: [{ userId: 'crowd-0', seq: second, received: 2, read: 1 }] },
        });
        const told = await report([at('crowd-1', { received: third, read: third }), at('crowd-2', { read: second })]);
        const counts = [...(told[id]?.counts ?? [])];
        expect(counts).toHaveLength(2);
        // Nobody says something without having read what came before: alice is counted, and crowd-0 for no message after their own.
        expect(counts).toContainEqual({ userId: 'crowd-0', seq: second, received: 3, read: 3 });
        expect(counts).toContainEqual({ userId: 'alice', seq: third, received: 1, read: 1 });
        // A cursor that has moved nowhere tells nothing, nor does that of the sender.
        expect(await report([at('crowd-1', { read: third }), at('alice', { read: third })])).toEqual({
          [id]: { memberCount: 102, seq: third },
        });
        const { id: last, seq: fourth } = await say('alice', id, 'third by alice');
        await api.request('alice', 'DELETE', `${GROUPS}/${id}/messages/${last}`);
        expect(await report([at('crowd-3', { read: fourth })])).toEqual({
          [id]: {
            memberCount: 102,
            seq: fourth + 1,
            counts: expect.toSatisfy((all: object[]) => {
              expect(all).toHaveLength(2);
              expect(all).toContainEqual({ userId: 'crowd-0', seq: second, received: 4, read: 4 });
              expect(all).toContainEqual({ userId: 'alice', seq: third, received: 2, read: 2 });
              return true;
            }),
          },
        });
        const own = async (user: string) =>
          (await api.request<{ counts: object | null }>(user, 'GET', `${GROUPS}/${id}/receipts`)).body;
        expect(await own('crowd-0')).toEqual({
          memberCount: 102,
          position: { epoch: expect.any(String), seq: fourth + 1 },
          counts: { seq: second, received: 4, read: 4 },
        });
        expect(await own('alice')).toMatchObject({ counts: { seq: third, received: 2, read: 2 } });
        expect(await own('crowd-9')).toMatchObject({ counts: null });
        // The first words of a member move the read cursor, and later ones count without that.
        await say('crowd-4', id, 'one');
        const { seq: fifth } = await say('alice', id, 'fourth by alice');
        await say('crowd-4', id, 'two');
        expect(await own('alice')).toMatchObject({ counts: { seq: fifth, received: 1, read: 1 } });
      });

      test('says which groups users are in, those of many in the order in which they were active', async () => {
        type Groups = { users: { userId: string; groupIds: string[] }[] };
        const made: string[] = [];
        for (let n = 0; n < 3; n += 1) made.push((await newGroup('collector', ['visitor'])).id);
        const [first = '', gone = ''] = made;
        await api.request('collector', 'DELETE', `${GROUPS}/${gone}`);
        await api.request('visitor', 'DELETE', `${GROUPS}/${first}/members/visitor`);
        const asked = { userIds: ['visitor', 'nobody', 'collector', 'visitor'] };
        const { users } = await askAsRelay<Groups>('/internal/groups', asked);
        expect(users.map(({ userId, groupIds }) => [userId, groupIds.toSorted()])).toEqual([
          ['visitor', [made[2]]],
          ['nobody', []],
          ['collector', [first, made[2]].toSorted()],
          ['visitor', [made[2]]],
        ]);
        await Promise.all(Array.from({ length: 50 }, async () => newGroup('collector')));
        await say('collector', first, 'the newest event');
        const many = (await askAsRelay<Groups>('/internal/groups', { userIds: ['collector'] })).users[0]?.groupIds;
        expect([many?.length, many?.[0]]).toEqual([52, first]);
        expect((await api.request('alice', 'POST', '/internal/groups', asked)).status).toBe(401);
      });

      test('keeps the cursors of members, which only move forward, and unread follows from them', async () => {
        const { id } = await newGroup('alice', ['bob']);
        for (let n = 1; n <= 3; n += 1) await say('alice', id, `m${n}`);
        const report = async (cursors: object) =>
          askAsRelay('/internal/cursors', {
            cursors: [
              { groupId: id, ...cursors },
              { groupId: 'none', userId: 'bob', read: 1 },
            ],
          });
        const unread = async () => {
          const { body } = await api.request<{ groups: GroupSummary[] }>('bob', 'GET', GROUPS);
          return body.groups.find((group) => group.id === id)?.unreadCount;
        };
        await report({ userId: 'bob', received: 4, applied: 4, read: 3 });
        expect(await unread()).toBe(1);
        const { body } = await api.request<{ groups: GroupSummary[] }>('bob', 'GET', GROUPS);
        expect(body.groups.find((group) => group.id === id)?.readSeq).toBe(3);
        await report({ userId: 'bob', read: 2 });
        expect(await unread()).toBe(1);
        await report({ userId: 'bob', read: 1_000 });
        expect(await unread()).toBe(0);
        // The relay is told of whom nothing is stored, so that nobody is shown it.
        expect(await report({ userId: 'eve', read: 3 })).toMatchObject({ groups: { [id]: { notMembers: ['eve'] } } });
      });
    });

    describe('HTTP', () => {
      test('health, metrics and OpenAPI', async () => {
        expect(await api.request(null, 'GET', '/livez')).toEqual({ status: 200, body: { status: 'live' } });
        expect(await api.request(null, 'GET', '/readyz')).toEqual({ status: 200, body: { status: 'ready' } });
        const metrics = await (await fetch(`${api.internalUrl}/metrics`)).text();
        expect(metrics).toMatch(/groupcast_api_outbox_backlog_events \d/);
        const { body } = await api.request<{ paths: Record<string, unknown> }>(null, 'GET', '/docs/json');
        expect(Object.keys(body.paths)).toContain(`${GROUPS}/{groupId}/messages`);
        expect(Object.keys(body.paths).filter((path) => path.startsWith('/internal'))).toEqual([]);
      });

      test('a query parameter that nobody reads is refused, and those that are read are named', async () => {
        const { id } = await newGroup('alice', []);
        const messageOf = async (method: string, path: string, body?: object): Promise<string> => {
          const answer = await api.request<{ error: { code: string; message: string } }>('alice', method, path, body);
          expect([answer.status, answer.body.error.code]).toEqual([400, 'INVALID_PAYLOAD']);
          return answer.body.error.message;
        };
        const unknown = 'unable to accept the request; there is no query parameter';
        expect(await messageOf('GET', `${GROUPS}?q=team`)).toBe(`${unknown} "q" here; known are cursor, limit`);
        expect(await messageOf('GET', `${GROUPS}/${id}/messages?befor=3&limit=1`)).toBe(
          `${unknown} "befor" here; known are before, after, limit`,
        );
        expect(await messageOf('GET', `${GROUPS}/${id}?limit=3`)).toBe(`${unknown} "limit" here; there are none`);
        expect(await messageOf('POST', `${GROUPS}?name=x`, { memberIds: [] })).toContain(`${unknown} "name"`);
        expect((await messageOf('GET', `${GROUPS}?${'q'.repeat(5_000)}=1`)).length).toBeLessThan(300);
        // Probes and pages for people are asked with whatever comes along.
        for (const path of ['/livez?x=1', '/readyz?x', '/docs/json?x=1'])
          expect((await fetch(`${api.url}${path}`)).status).toBe(200);
      });

      test('a field that is missing is said to be, with the other name that something like it has', async () => {
        const { id } = await newGroup('alice', []);
        const answer = await api.request<{ error: { message: string; details: object } }>(
          'alice',
          'POST',
          `${GROUPS}/${id}/messages`,
          { text: 'hi' },
        );
        expect([answer.status, answer.body.error.message]).toEqual([
          400,
          'unable to accept the request; content is missing, and "text" is not read here',
        ]);
        expect(answer.body.error.details).toMatchObject({
          issues: [{ path: 'content', message: 'is missing, and "text" is not read here' }],
        });
      });

      test('routes and objects that do not exist, and malformed ids, are refused in the same shape', async () => {
        expect(await api.request('alice', 'GET', '/api/nothing')).toMatchObject({
          status: 404,
          body: { error: { code: 'NOT_FOUND' } },
        });
        for (const id of ['a%20b', '__proto__', '%00', 'x'.repeat(129)]) {
          expect(codeOf(await api.request('alice', 'GET', `${GROUPS}/${id}/messages`))).toBe('INVALID_PAYLOAD');
        }
      });

      test('every answer has the headers that keep a browser from misusing it', async () => {
        const answers = await Promise.all(
          [GROUPS, '/api/nothing', '/livez', '/'].map(async (path) => fetch(`${api.url}${path}`)),
        );
        expect(answers.map(({ status }) => status)).toEqual([401, 404, 200, 200]);
        const { host } = new URL(relay.url);
        for (const { headers } of answers) {
          expect(headers.get('x-content-type-options')).toBe('nosniff');
          expect(headers.get('content-security-policy')).toContain(`connect-src 'self' http://${host} ws://${host}`);
          expect(headers.get('x-powered-by')).toBeNull();
        }
      });

      test('a cookie signs a page of an allowed origin in, and no other (G73)', async () => {
        const cookie = `theme=dark; token=${await tokenFor('alice')}`;
        const ours = 'http://localhost:5173';
        const asked = async (
          method: string,
          headers: Record<string, string>,
        ): Promise<[number, string | undefined]> => {
          const path = method === 'DELETE' ? `${GROUPS}/none` : GROUPS;
          const body = method === 'POST' ? { name: 'by cookie', memberIds: [] } : undefined;
          const answer = await api.request(null, method, path, body, { cookie, ...headers });
          return [answer.status, answer.status < 400 ? undefined : codeOf(answer)];
        };
        expect(await asked('GET', {})).toEqual([200, undefined]);
        expect(await asked('GET', { origin: ours })).toEqual([200, undefined]);
        expect(await asked('POST', { origin: ours })).toEqual([201, undefined]);
        const forged = [{}, { origin: 'https://evil.test' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }];
        for (const headers of forged) {
          for (const method of ['POST', 'DELETE']) {
            expect(await asked(method, headers as Record<string, string>)).toEqual([403, 'ORIGIN_FORBIDDEN']);
          }
        }
        expect(await asked('GET', { origin: 'https://evil.test' })).toEqual([403, 'ORIGIN_FORBIDDEN']);
        expect(api.logged).toContainEqual(
          expect.objectContaining({ code: 'ORIGIN_FORBIDDEN', msg: expect.stringMatching(/CSRF/) }),
        );
        // A header, which no page can make a browser send, is not concerned. It decides, since it is listed first.
        const other = { authorization: `Bearer ${await tokenFor('without-cookie')}` };
        expect((await api.request(null, 'GET', GROUPS, undefined, { ...other, cookie })).body).toMatchObject({
          groups: [],
        });
        const wrong = { authorization: 'Bearer wrong' };
        expect(await asked('GET', wrong)).toEqual([401, 'TOKEN_INVALID']);
      });

      test('a page of an allowed origin may send a cookie along, and no other', async () => {
        const answers = async (origin: string): Promise<string | null> => {
          const preflight = { origin, 'access-control-request-method': 'POST' };
          const response = await fetch(`${api.url}${GROUPS}`, { method: 'OPTIONS', headers: preflight });
          const { headers } = response;
          return headers.get('access-control-allow-origin') && headers.get('access-control-allow-credentials');
        };
        expect(await answers('http://localhost:5173')).toBe('true');
        expect(await answers('https://evil.test')).toBeNull();
      });

      test('a token in the URL counts by the name that is listed, and is no parameter of a route', async () => {
        const token = await tokenFor('alice');
        expect((await api.request(null, 'GET', `${GROUPS}?limit=1&jwt=${token}`)).status).toBe(200);
        expect(codeOf(await api.request(null, 'GET', `${GROUPS}?jwt=x`))).toBe('TOKEN_INVALID');
        expect(codeOf(await api.request(null, 'GET', `${GROUPS}?jwt=${token}&jwt=${token}`))).toBe('TOKEN_INVALID');
        expect(codeOf(await api.request(null, 'GET', `${GROUPS}?token=${token}`))).toBe('TOKEN_MISSING');
        expect(codeOf(await api.request('alice', 'GET', `${GROUPS}?token=${token}`))).toBe('INVALID_PAYLOAD');
      });

      test('browsers of other origins get no CORS header', async () => {
        const from = async (origin: string) =>
          (await fetch(`${api.url}/livez`, { headers: { origin } })).headers.get('access-control-allow-origin');
        expect([await from('http://localhost:5173'), await from('https://evil.example.com')]).toEqual([
          'http://localhost:5173',
          null,
        ]);
      });
    });
  });
}
