import type { Answer, Message } from '@groupcast/shared';
import { connectAs, received } from '@groupcast/testing';
import type { Socket } from 'socket.io-client';
import { afterAll, describe, expect, test } from 'vitest';
import type { ApiUnderTest } from './api-harness.ts';

const GROUPS = '/api/messaging/groups';

/** An answer without its door: the code of a refusal, or what there is beside `ok`. */
type Outcome = { code: string } | Record<string, unknown>;

/** One way in for a user. */
interface Door {
  send(user: string, groupId: string, message: object): Promise<Outcome>;
  edit(user: string, groupId: string, messageId: string, content: unknown): Promise<Outcome>;
  remove(user: string, groupId: string, messageId: string): Promise<Outcome>;
}

interface World {
  door: Door;
  /** A group of alice and bob. */
  groupId: string;
  /** A group that only carol is in. */
  foreign: string;
  /** A message of alice that was sent by HTTP. */
  mine: Message;
}

interface Case {
  what: string;
  run: (world: World) => Promise<Outcome>;
  expected: Outcome;
  /** Where the relay refuses before the API is asked. */
  overSocket?: Outcome;
}

const message = (fields: object): Outcome => ({ message: expect.objectContaining(fields) });
const refused = (code: string): Outcome => ({ code });

const CASES: readonly Case[] = [
  {
    what: 'a message',
    run: async ({ door, groupId }) => door.send('bob', groupId, { content: 'hi', clientMessageId: 'm1' }),
    expected: message({ content: 'hi', senderId: 'bob', clientMessageId: 'm1', seq: expect.any(Number) }),
  },
  {
    what: 'a message that is sent again: the first one, whatever it says now',
    async run({ door, groupId }) {
      const first = await door.send('bob', groupId, { content: 'once', clientMessageId: 'again' });
      const second = await door.send('bob', groupId, { content: 'twice', clientMessageId: 'again' });
      return { same: JSON.stringify(first) === JSON.stringify(second), second };
    },
    expected: { same: true, second: message({ content: 'once' }) },
  },
  {
    what: 'attachments, and fields that nobody reads',
    run: async ({ door, groupId }) =>
      door.send('bob', groupId, { content: 'see', attachments: [{ url: '/a' }], senderId: 'alice', seq: 1 }),
    expected: message({ content: 'see', senderId: 'bob', attachments: [{ url: '/a' }] }),
  },
  {
    what: 'a group that one is not in',
    run: async ({ door, foreign }) => door.send('bob', foreign, { content: 'hi' }),
    expected: refused('NOT_FOUND'),
    overSocket: refused('NOT_A_MEMBER'),
  },
  {
    what: 'a message that is too long',
    run: async ({ door, groupId }) => door.send('bob', groupId, { content: 'x'.repeat(70_000) }),
    expected: refused('PAYLOAD_TOO_LARGE'),
  },
  {
    what: 'a message that cannot be stored',
    run: async ({ door, groupId }) => door.send('bob', groupId, { content: 'a\0b' }),
    expected: refused('INVALID_PAYLOAD'),
  },
  {
    what: 'a message without content',
    run: async ({ door, groupId }) => door.send('bob', groupId, {}),
    expected: refused('INVALID_PAYLOAD'),
  },
  {
    what: 'content that is no text',
    run: async ({ door, groupId }) => door.send('bob', groupId, { content: 7 }),
    expected: refused('INVALID_PAYLOAD'),
  },
  {
    what: 'an edit of one’s own message',
    run: async ({ door, groupId, mine }) => door.edit('alice', groupId, mine.id, 'better'),
    expected: message({ content: 'better', senderId: 'alice', updatedAt: expect.any(String) }),
  },
  {
    what: 'an edit of somebody else’s message',
    run: async ({ door, groupId, mine }) => door.edit('bob', groupId, mine.id, 'worse'),
    expected: refused('FORBIDDEN'),
  },
  {
    what: 'an edit without content',
    run: async ({ door, groupId, mine }) => door.edit('alice', groupId, mine.id, undefined),
    expected: refused('INVALID_PAYLOAD'),
  },
  {
    what: 'an edit of a message that is not there',
    run: async ({ door, groupId }) => door.edit('alice', groupId, 'none', 'x'),
    expected: refused('NOT_FOUND'),
  },
  {
    what: 'an edit that is too long',
    run: async ({ door, groupId, mine }) => door.edit('alice', groupId, mine.id, 'x'.repeat(70_000)),
    expected: refused('PAYLOAD_TOO_LARGE'),
  },
  {
    what: 'the end of one’s own message, and then nothing more of it',
    async run({ door, groupId, mine }) {
      const gone = await door.remove('alice', groupId, mine.id);
      return { gone, again: await door.remove('alice', groupId, mine.id) };
    },
    expected: { gone: {}, again: refused('NOT_FOUND') },
  },
  {
    what: 'the end of somebody else’s message',
    run: async ({ door, groupId, mine }) => door.remove('bob', groupId, mine.id),
    expected: refused('FORBIDDEN'),
  },
];

/** Users may do the same over HTTP and over the relay's socket. The API has the relay, and the relay the API. */
export function describeDoors(system: () => { api: ApiUnderTest; relayUrl: string }): void {
  const sockets: Socket[] = [];
  afterAll(() => {
    for (const socket of sockets) socket.close();
  });

  async function overHttp(user: string, method: string, path: string, body?: object): Promise<Outcome> {
    const { api } = system();
    const answer = await api.request(user, method, `${GROUPS}/${path}`, body);
    return answer.status < 300 ? answer.body : refused((answer.body['error'] as { code: string }).code);
  }
  const http: Door = {
    send: async (user, groupId, body) => overHttp(user, 'POST', `${groupId}/messages`, body),
    edit: async (user, groupId, id, content) => overHttp(user, 'PATCH', `${groupId}/messages/${id}`, { content }),
    remove: async (user, groupId, id) => overHttp(user, 'DELETE', `${groupId}/messages/${id}`),
  };

  const connected = new Map<string, Promise<Socket>>();
  async function connect(user: string): Promise<Socket> {
    const socket = await connectAs(system().relayUrl, user);
    sockets.push(socket);
    await received(socket, 'joined-groups');
    return socket;
  }
  async function emit(
    user: string,
    event: string,
    payload: { groupId: string; [field: string]: unknown },
  ): Promise<Outcome> {
    const known = connected.get(user) ?? connect(user);
    connected.set(user, known);
    const socket = (await known).timeout(8_000);
    await socket.emitWithAck('join-group', { groupId: payload.groupId });
    const { ok, ...answer } = (await socket.emitWithAck(event, payload)) as Answer<object>;
    return ok ? answer : refused((answer as { error: { code: string } }).error.code);
  }
  const socket: Door = {
    send: async (user, groupId, body) => emit(user, 'send-message', { ...body, groupId }),
    edit: async (user, groupId, messageId, content) => emit(user, 'edit-message', { groupId, messageId, content }),
    remove: async (user, groupId, messageId) => emit(user, 'delete-message', { groupId, messageId }),
  };

  async function newGroup(owner: string, memberIds: readonly string[]): Promise<string> {
    const { body } = await system().api.request<{ group: { id: string } }>(owner, 'POST', GROUPS, { memberIds });
    return body.group.id;
  }

  describe.each([
    ['HTTP', http],
    ['the socket', socket],
  ] as const)('over %s', (name, door) => {
    test.each(CASES.map((each) => [each.what, each] as const))('%s (G65)', async (_what, each) => {
      const groupId = await newGroup('alice', ['bob']);
      const foreign = await newGroup('carol', []);
      const { message: mine } = (await http.send('alice', groupId, { content: 'mine' })) as { message: Message };
      const expected = (name === 'HTTP' ? undefined : each.overSocket) ?? each.expected;
      expect(await each.run({ door, groupId, foreign, mine })).toEqual(expected);
    });
  });

  test('a user who has asked the API nothing yet may speak over the socket, and is known from then on', async () => {
    const user = `new-${await newGroup('alice', [])}`;
    const groupId = await newGroup('alice', [user]);
    expect(await socket.send(user, groupId, { content: 'hello' })).toEqual(message({ senderId: user }));
    const { body } = await system().api.request<{ users: object[] }>('alice', 'GET', `/api/users?ids=${user}`);
    expect(body.users).toEqual([{ id: user }]);
  });

  test('marks by a message’s id stand where the message stands, for members only, and move what is unread', async () => {
    const groupId = await newGroup('alice', ['bob']);
    const { message: first } = (await http.send('alice', groupId, { content: 'one' })) as { message: Message };
    const other = await newGroup('alice', ['bob']);
    const mark = { groupId, messageId: first.id };
    expect(await emit('bob', 'mark-read', mark)).toEqual({ seq: first.seq });
    expect(await emit('bob', 'mark-delivered', mark)).toEqual({ seq: first.seq });
    expect(await emit('bob', 'mark-read', { ...mark, groupId: other })).toEqual(refused('NOT_FOUND'));
    expect(await emit('bob', 'mark-read', { ...mark, messageId: 'none' })).toEqual(refused('NOT_FOUND'));
    expect(await emit('carol', 'mark-read', mark)).toEqual(refused('NOT_A_MEMBER'));
    expect(await emit('bob', 'mark-read', { ...mark, seq: 1 })).toEqual(refused('INVALID_PAYLOAD'));
    await expect
      .poll(async () => {
        const { body } = await system().api.request<{ groups: { id: string; unreadCount: number }[] }>(
          'bob',
          'GET',
          GROUPS,
        );
        return body.groups.find(({ id }) => id === groupId)?.unreadCount;
      })
      .toBe(0);
  });
}
