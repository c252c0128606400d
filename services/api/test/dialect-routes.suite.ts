import type { Message } from '@groupcast/shared';
import { connectAs, tokenFor, until } from '@groupcast/testing';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiUnderTest } from './api-harness.ts';

const GROUPS = '/api/messaging/groups';
const CHATS = '/api/v1/chats';

interface Shown extends Message {
  _id: string;
  chat: string;
  sender: Message['sender'] & {
    _id: string;
    fullName: string;
    email: string | null;
    photo: string | null;
    isOnline: boolean;
  };
}
interface Success<T> {
  status: string;
  data: T;
}

/** The routes of front end A, as its pages use them, on an API that serves the dialect `conversation-colon`. */
export function describeDialectRoutes(world: () => { api: ApiUnderTest; relayUrl: string }): void {
  describe('the routes of the dialect conversation-colon', () => {
    let api: ApiUnderTest;
    let path: string;
    let chat: string;
    const closers: (() => unknown)[] = [];
    afterAll(async () => {
      for (const close of closers) await close();
    });

    /** A chat of ann and ben, with the id that A's own database has given it. */
    beforeAll(async () => {
      ({ api } = world());
      chat = `694801074b3132dfefb5${Math.floor(Math.random() * 65_536)
        .toString(16)
        .padStart(4, '0')}`;
      path = `${CHATS}/${chat}/messages`;
      const made = await api.request('ann', 'POST', GROUPS, { id: chat, name: 'A', memberIds: ['ben'] });
      expect(made.status).toBe(201);
      const profile = { name: 'Ann Arbor', picture: 'https://a.test/ann.png', custom: { email: 'ann@a.test' } };
      expect((await api.request('ann', 'PUT', '/api/users/me', profile)).status).toBe(200);
    });

    const post = async (user: string, body: unknown, headers = {}) =>
      api.request<Success<Shown>>(user, 'POST', path, body, headers);
    /** A connection of the user that is in the group. */
    async function join(user: string, groupId: string): Promise<Socket> {
      const socket = await connectAs(world().relayUrl, user);
      closers.push(() => socket.disconnect());
      expect(await socket.emitWithAck('join-group', { groupId })).toMatchObject({ ok: true });
      return socket;
    }
    const list = async (user: string, query = '') => api.request<Success<Shown[]>>(user, 'GET', `${path}${query}`);

    test('a message is saved, and answered with its populated sender, who is there', async () => {
      const { status, body } = await post('ann', { content: 'hello' });
      expect(status).toBe(201);
      expect(body).toEqual({
        status: 'success',
        data: expect.objectContaining({
          _id: body.data.id,
          chat,
          groupId: chat,
          content: 'hello',
          createdAt: expect.stringMatching(/Z$/),
          sender: expect.objectContaining({
            _id: 'ann',
            fullName: 'Ann Arbor',
            email: 'ann@a.test',
            photo: 'https://a.test/ann.png',
            isOnline: true,
          }),
        }),
      });
      const native = await api.request<{ messages: Message[] }>('ben', 'GET', `${GROUPS}/${chat}/messages`);
      expect(native.body.messages.map(({ id }) => id)).toContain(body.data.id);
    });

    test('the refetch has the messages of the live events, the newest last, as far as it asks', async () => {
      const live: string[] = [];
      (await join('ben', chat)).on('new-message', ({ id }: Message) => live.push(id));
      const sent: string[] = [];
      for (const content of ['one', 'two', 'three']) sent.push((await post('ann', { content })).body.data._id);
      await until('the live events', () => live.length === 3);
      expect(live).toEqual(sent);
      const { status, body } = await list('ben');
      expect([status, body.status]).toEqual([200, 'success']);
      expect(body.data.slice(-3).map(({ _id, chat: of, content }) => [_id, of, content])).toEqual([
        [sent[0], chat, 'one'],
        [sent[1], chat, 'two'],
        [sent[2], chat, 'three'],
      ]);
      // Texts are read as our own route reads them, and what no template reads is left alone.
      const before = body.data.at(-1)?.seq;
      const page = await list('ben', `?before=${before}&limit=1&t=1700000000`);
      expect(page.body.data.map(({ content }) => content)).toEqual(['two']);
    });

    test('of each message it says whether the sender is there', async () => {
      const other = `online-${chat}`;
      await api.request('ann', 'POST', GROUPS, { id: other, name: 'B', memberIds: ['cleo', 'dora'] });
      for (const user of ['ann', 'dora'])
        await api.request(user, 'POST', `${CHATS}/${other}/messages`, { content: user });
      await join('ann', other);
      const { body } = await api.request<Success<Shown[]>>('cleo', 'GET', `${CHATS}/${other}/messages`);
      expect(body.data.map(({ sender }) => [sender._id, sender.isOnline])).toEqual([
        ['ann', true],
        ['dora', false],
      ]);
    });

    test('the session’s cookie signs in, from an allowed origin only', async () => {
      const cookie = `token=${await tokenFor('ann')}`;
      const origin = 'http://localhost:5173';
      const ask = async (method: string, headers: Record<string, string>) => {
        const body = method === 'POST' ? JSON.stringify({ content: 'by cookie' }) : null;
        const all = { cookie, ...(body === null ? {} : { 'content-type': 'application/json' }), ...headers };
        return fetch(`${api.url}${path}`, { method, headers: all, body });
      };
      const allowed = await ask('POST', { origin });
      expect(allowed.status).toBe(201);
      expect(allowed.headers.get('access-control-allow-origin')).toBe(origin);
      expect(allowed.headers.get('access-control-allow-credentials')).toBe('true');
      const foreign = await ask('POST', { origin: 'https://evil.test' });
      expect([foreign.status, await foreign.json()]).toEqual([
        403,
        { error: expect.any(String), code: 'ORIGIN_FORBIDDEN' },
      ]);
      expect((await ask('POST', {})).status).toBe(403);
      expect((await ask('GET', { origin })).status).toBe(200);
    });

    test('rights, limits and idempotency are those of our own routes (G77)', async () => {
      expect((await post('stranger', { content: 'hi' })).status).toBe(404);
      expect((await list('stranger')).status).toBe(404);
      const once = await post('ann', { content: 'once' }, { 'idempotency-key': 'k1' });
      const twice = await post('ann', { content: 'twice' }, { 'idempotency-key': 'k1' });
      const inBody = await post('ann', { content: 'thrice', clientMessageId: 'k1' });
      expect([twice.body.data._id, inBody.body.data.content]).toEqual([once.body.data._id, 'once']);
      // Nobody writes in another's name, or a message of the service.
      const forged = await post('ann', { content: 'x', senderId: 'ben', kind: 'system', seq: 1 });
      expect(forged.body.data).toMatchObject({ senderId: 'ann', kind: 'text' });
    });

    const text = expect.any(String);
    const LONG = 'x'.repeat(70_000);
    const refusals: [string, string | null, string, string, unknown, number, string][] = [
      ['no content', 'ann', 'POST', '', {}, 400, 'INVALID_PAYLOAD'],
      ['no body', 'ann', 'POST', '', undefined, 400, 'INVALID_PAYLOAD'],
      ['a body that is no JSON', 'ann', 'POST', '', '{', 400, 'INVALID_PAYLOAD'],
      ['content that is no text', 'ann', 'POST', '', { content: 7 }, 400, 'INVALID_PAYLOAD'],
      ['content that cannot be stored', 'ann', 'POST', '', { content: 'a\0b' }, 400, 'INVALID_PAYLOAD'],
      ['content that is too long', 'ann', 'POST', '', { content: LONG }, 413, 'PAYLOAD_TOO_LARGE'],
      [
        'a body that is too large',
        'ann',
        'POST',
        '',
        { content: 'x', more: 'x'.repeat(500_000) },
        413,
        'PAYLOAD_TOO_LARGE',
      ],
      ['a limit that is none', 'ann', 'GET', '?limit=many', undefined, 400, 'INVALID_PAYLOAD'],
      ['a limit that is given twice', 'ann', 'GET', '?limit=1&limit=2', undefined, 400, 'INVALID_PAYLOAD'],
      ['no token', null, 'POST', '', { content: 'x' }, 401, 'TOKEN_MISSING'],
      ['somebody else’s chat', 'stranger', 'POST', '', { content: 'x' }, 404, 'NOT_FOUND'],
      ['a method that there is not', 'ann', 'DELETE', '', undefined, 404, 'NOT_FOUND'],
      ['a path that there is not', 'ann', 'GET', '/more', undefined, 404, 'NOT_FOUND'],
      ['a path that cannot be read', 'ann', 'GET', '/%zz', undefined, 400, 'INVALID_PAYLOAD'],
    ];
    test.each(refusals)(
      '%s is refused with a text that the page prints',
      async (_what, user, method, rest, body, status, code) => {
        const answer = await api.request(user, method, `${path}${rest}`, body);
        expect(answer).toEqual({ status, body: { error: text, code } });
      },
    );

    test('so are what stands in the path, and paths around the routes; ours are refused as ever', async () => {
      const asked: [string, number][] = [
        [`${CHATS}/no%20id/messages`, 400],
        [`${CHATS}/none/messages`, 404],
        [`${CHATS}/${'x'.repeat(200)}/messages`, 400],
        [`${CHATS}/${'x'.repeat(600)}/messages`, 404],
        [`${CHATS}/7`, 404],
        [CHATS, 404],
      ];
      for (const [each, status] of asked) {
        const answer = await api.request('ann', 'GET', each);
        expect([each, answer.status, answer.body]).toEqual([each, status, expect.objectContaining({ error: text })]);
      }
      for (const each of ['/api/v1', '/api/v1/chatsy', `${GROUPS}/none`]) {
        const { body } = await api.request('ann', 'GET', each);
        expect(body).toMatchObject({ error: { code: 'NOT_FOUND', message: text } });
      }
    });
  });
}
