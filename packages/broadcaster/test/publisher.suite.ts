import { inspect } from 'node:util';
import type { BroadcastInput } from '@groupcast/shared';
import { received, TEST_SECRETS, tokenFor, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { describe, expect, test } from 'vitest';
import { GroupcastError, type Publisher } from '../src/index.ts';
import type { Listener } from './relay-under-test.ts';

const SECRET = TEST_SECRETS.RELAY_SERVICE_SECRET;
/** Nobody listens there, and it is none of the ports that `fetch` refuses. */
export const NOWHERE = 'http://127.0.0.1:2';

/** The options that every publisher has. */
export interface PublisherOptions {
  url?: string;
  serviceSecret?: string;
  tokenProvider?: () => Promise<string> | string;
  timeoutMs?: number;
  maxPending?: number;
}

export interface PublisherBackend {
  /** With the right secret, unless the options say something else. */
  open(options?: PublisherOptions): Publisher;
  listen(userId: string, ...groupIds: string[]): Promise<Listener>;
  /** A group no other test has used. */
  newGroup(): string;
}

export async function failure(promise: Promise<unknown>): Promise<GroupcastError> {
  const error: unknown = await promise.then(
    () => 'it succeeded',
    (reason: unknown) => reason,
  );
  if (error instanceof GroupcastError) return error;
  throw new Error('expected a GroupcastError', { cause: error });
}

export const signedBy = (secret: string, scope: 'broadcast' | 'monitor') => async () =>
  signServiceToken({ secret, scopes: [scope], subject: 'x' });

function circular(groupId: string): BroadcastInput {
  const message: Record<string, never> = {};
  Object.assign(message, { self: message });
  return { groupId, message };
}

/** The promises that hold on every way to the relay. */
export function describePublisher(way: string, { open, listen, newGroup }: PublisherBackend): void {
  describe(`a broadcast ${way}`, () => {
    test('answers with its position and the connections that it reached', async () => {
      const groupId = newGroup();
      await listen('alice', groupId);
      const result = await open().broadcastMessage({ groupId, id: 7, message: { content: 'hi' } });
      expect(result).toEqual({
        id: '7',
        groupId,
        position: { epoch: expect.stringMatching(/^\d+-\w+$/), seq: 1 },
        duplicate: false,
        recipients: { connections: 1, nodes: 1 },
        warnings: [],
      });
    });

    test('takes the id of its message, so that a caller who calls again is recognised', async () => {
      const groupId = newGroup();
      const { messages } = await listen('alice', groupId);
      const broadcaster = open();
      const first = await broadcaster.broadcastMessage({ groupId, message: { id: 5, content: 'hi' } });
      const second = await broadcaster.broadcastMessage({ groupId, message: { id: '5', content: 'hi' } });
      expect(first).toMatchObject({ id: '5', duplicate: false });
      expect(second).toMatchObject({ id: '5', duplicate: true, position: first.position });
      await broadcaster.broadcastMessage({ groupId, id: 'last', message: {} });
      await until('the last message', () => messages.some(({ id }) => id === 'last'));
      expect(messages.map(({ id }) => id)).toEqual(['5', 'last']);
    });

    test('about a message has an id of its own', async () => {
      const groupId = newGroup();
      const broadcaster = open();
      await broadcaster.broadcastMessage({ groupId, message: { id: '5' } });
      const edit = { groupId, event: 'message-updated', message: { id: '5', messageId: '5' } };
      const [first, second] = [await broadcaster.broadcastMessage(edit), await broadcaster.broadcastMessage(edit)];
      expect(new Set(['5', first.id, second.id]).size).toBe(3);
      expect([first.duplicate, second.duplicate]).toEqual([false, false]);
    });
  });

  describe(`a broadcast ${way} that expects users`, () => {
    test('has their time on top of its own, alone and in a batch', async () => {
      const groupId = newGroup();
      const [broadcaster, bob] = [open({ timeoutMs: 1_000 }), await listen('bob', groupId)];
      const { ws } = bob.socket.io.engine.transport as unknown as { ws: { pause(): void } };
      ws.pause();
      const expecting = (withinMs: number) => ({ groupId, message: {}, expectedUserIds: ['bob'], withinMs });
      const delivery = { proven: [], pending: ['bob'], absent: [] };
      const [alone, batch] = await Promise.all([
        broadcaster.broadcastMessage({ ...expecting(2_000), waitFor: 'proven' }),
        broadcaster.broadcastBatch([expecting(1), expecting(2_000), { groupId, message: {} }]),
      ]);
      expect(alone).toMatchObject({ delivery });
      expect(batch).toMatchObject([{ ok: true, delivery }, { ok: true, delivery }, { ok: true }]);
    });

    test('is refused by the relay where the time is none', async () => {
      const [broadcaster, groupId] = [open(), newGroup()];
      for (const withinMs of [Number.NaN, -1, 1e12, 'soon' as unknown as number]) {
        const input = { groupId, expectedUserIds: ['bob'], withinMs };
        expect(await failure(broadcaster.broadcastMessage({ ...input, message: {} }))).toMatchObject({
          code: 'INVALID_PAYLOAD',
        });
        expect(await failure(broadcaster.awaitDelivery({ ...input, seq: 1 }))).toMatchObject({
          code: 'INVALID_PAYLOAD',
        });
      }
    });
  });

  describe(`the other calls ${way}`, () => {
    test('a batch answers every item in order, and a bad one fails alone', async () => {
      const groupId = newGroup();
      const { messages } = await listen('alice', groupId);
      const bad = { groupId: 'not an id', message: {} };
      const results = await open().broadcastBatch([
        { groupId, message: { n: 1 } },
        bad,
        { groupId, message: { n: 2 } },
        { groupId, message: { n: 3 }, epoch: '1-a', seq: 7 },
      ]);
      expect(results).toMatchObject([
        { ok: true, position: { seq: 1 } },
        { ok: false, error: { code: 'INVALID_PAYLOAD', retryable: false } },
        { ok: true, position: { seq: 2 } },
        { ok: false, error: { code: 'CONFLICT', retryable: false } },
      ]);
      await until('both messages', () => messages.length === 2);
      expect(messages.map((message) => message['n'])).toEqual([1, 2]);
    });

    test('notifyUsers reaches every connection of the users, in no group', async () => {
      const [one, two] = [await listen('bob'), await listen('bob')];
      const heard = Promise.all([one, two].map(async ({ socket }) => received(socket, 'invoice-paid')));
      const answer = await open().notifyUsers({ userIds: ['bob', 'nobody'], event: 'invoice-paid', data: { n: 1 } });
      expect(answer).toEqual({ recipients: 2 });
      expect(await heard).toEqual([{ n: 1 }, { n: 1 }]);
    });

    test('addMembers and removeMembers are done when they resolve', async () => {
      const groupId = newGroup();
      const { socket } = await listen('carol');
      const broadcaster = open();
      const joined = received(socket, 'joined-groups');
      expect(await broadcaster.addMembers({ groupId, userIds: ['carol'] })).toBeUndefined();
      expect(await joined).toEqual({ groups: [{ groupId, position: null }] });
      const inside = await broadcaster.broadcastMessage({ groupId, message: {} });
      expect(inside.recipients.connections).toBe(1);

      const left = received(socket, 'left-groups');
      expect(await broadcaster.removeMembers({ groupId, userIds: ['carol'] })).toBeUndefined();
      expect(await left).toMatchObject({ groups: [groupId] });
      const outside = await broadcaster.broadcastMessage({ groupId, message: {} });
      expect(outside).toMatchObject({ recipients: { connections: 0, nodes: 0 }, warnings: ['NO_RECIPIENTS'] });
    });

    test('disconnectUsers ends their connections, and says why', async () => {
      const { socket } = await listen('dave');
      const [ending, gone] = [received(socket, 'session-ending'), received(socket, 'disconnect')];
      const answer = await open().disconnectUsers({ userIds: ['dave'], code: 'ACCOUNT_CLOSED' });
      expect(answer).toEqual({ connections: 1 });
      expect(await ending).toMatchObject({ code: 'ACCOUNT_CLOSED', next: 'stop' });
      await gone;
    });

    test('updateCursors shows a reader what the back end has stored', async () => {
      const groupId = newGroup();
      const { socket } = await listen('erin', groupId);
      const heard = received(socket, 'read-cursor');
      expect(await open().updateCursors({ cursors: [{ userId: 'erin', groupId, read: 3 }] })).toBeUndefined();
      expect(await heard).toMatchObject({ groupId });
    });

    test('getPresence, getTrace and awaitDelivery answer about the group and its event', async () => {
      const groupId = newGroup();
      await listen('frank', groupId);
      const broadcaster = open();
      const { id, position } = await broadcaster.broadcastMessage({ groupId, id: 'one', message: {} });
      expect(await broadcaster.getPresence({ groupId })).toEqual({
        groupId,
        users: [{ userId: 'frank', connections: 1 }],
        numUsers: 1,
        numConnections: 1,
      });
      const expected = { groupId, id, expectedUserIds: ['frank', 'grace'] };
      expect(await broadcaster.awaitDelivery(expected)).toEqual({
        proven: ['frank'],
        pending: [],
        absent: [{ userId: 'grace', why: 'offline' }],
      });
      const trace = await broadcaster.getTrace({ groupId, id, userIds: ['frank', 'grace'], limit: 10 });
      expect(trace).toMatchObject({ groupId, id, position, summary: { proven: 1, offline: 1 } });
      expect(trace.recipients.map(({ userId }) => userId)).toEqual(['frank', 'grace']);
    });

    test.each(['', '.', '..', 'a/b', 'not an id', '\ud800', {}, null, undefined])(
      'getPresence of a group that is none is INVALID_PAYLOAD: %j',
      async (groupId) => {
        const input = { groupId: groupId as string };
        expect(await failure(open().getPresence(input))).toMatchObject({ code: 'INVALID_PAYLOAD', retryable: false });
      },
    );

    test.each([undefined, null, {}, 'items'])(
      'broadcastBatch of anything but a list is INVALID_PAYLOAD: %j',
      async (items) => {
        expect(await failure(open().broadcastBatch(items as never))).toMatchObject({
          code: 'INVALID_PAYLOAD',
          retryable: false,
        });
      },
    );

    test('notifyUsers, members and traces refuse what they do not know, in the relay’s words', async () => {
      const broadcaster = open();
      const groupId = newGroup();
      const calls = [
        broadcaster.notifyUsers({ userIds: [], event: 'joined-groups', data: {} }),
        broadcaster.addMembers({ groupId, userIds: ['not a user'] }),
        broadcaster.removeMembers({ groupId }),
        broadcaster.disconnectUsers({ userIds: ['a'], code: 'small' }),
        broadcaster.getTrace({ groupId }),
        broadcaster.getTrace(null as never),
        broadcaster.awaitDelivery({ groupId, id: 'x', expectedUserIds: ['not a user'] }),
      ];
      for (const error of await Promise.all(calls.map(failure))) {
        expect(error).toMatchObject({ code: 'INVALID_PAYLOAD', retryable: false });
      }
    });
  });

  describe(`a broadcast ${way} that the relay refuses`, () => {
    const big = { content: 'x'.repeat(70_000) };

    test.each<[string, boolean, Partial<BroadcastInput>]>([
      ['INVALID_PAYLOAD', false, { groupId: 'not an id' }],
      ['INVALID_PAYLOAD', false, { event: 'joined-groups' }],
      ['INVALID_PAYLOAD', false, { epoch: '1-a' }],
      ['INVALID_PAYLOAD', false, { message: { id: 'not an id' } }],
      ['PAYLOAD_TOO_LARGE', false, { message: big }],
    ])('rejects with %s, retryable: %s', async (code, retryable, changes) => {
      const error = await failure(open().broadcastMessage({ groupId: newGroup(), message: {}, ...changes }));
      expect(error).toMatchObject({ code, retryable });
      expect(error.message).toMatch(/^unable to /);
    });

    test.each([
      '',
      null,
      undefined,
      1,
      {},
      { groupId: 1 },
      { groupId: 1, message: null },
      { groupId: 1, message: 'hi' },
    ])('may be anything: %j is INVALID_PAYLOAD, alone and in a batch', async (malformed) => {
      const broadcaster = open();
      const input = malformed as BroadcastInput;
      expect(await failure(broadcaster.broadcastMessage(input))).toMatchObject({ code: 'INVALID_PAYLOAD' });
      const results = await broadcaster.broadcastBatch([input, { groupId: newGroup(), message: {} }]);
      expect(results).toMatchObject([{ ok: false, error: { code: 'INVALID_PAYLOAD' } }, { ok: true }]);
    });

    test('for its position says where the group stands, and whether to come again', async () => {
      const groupId = newGroup();
      const broadcaster = open();
      const at = (seq: number, id: string): BroadcastInput => ({ groupId, id, epoch: '1-a', seq, message: {} });
      await broadcaster.broadcastMessage(at(1, 'one'));
      const head = { epoch: '1-a', seq: 1 };
      const gap = await failure(broadcaster.broadcastMessage(at(3, 'three')));
      expect(gap).toMatchObject({ code: 'POSITION_GAP', retryable: true, details: { head } });
      const conflict = await failure(broadcaster.broadcastMessage(at(1, 'another')));
      expect(conflict).toMatchObject({ code: 'CONFLICT', retryable: false, details: { head } });
    });
  });

  describe(`a broadcast ${way} that cannot be sent at all`, () => {
    test('rejects with INVALID_PAYLOAD, and takes no other call with it', async () => {
      const groupId = newGroup();
      const broadcaster = open();
      // The first is made before there is a connection, the second on one.
      const before = failure(broadcaster.broadcastMessage(circular(newGroup())));
      const first = broadcaster.broadcastMessage({ groupId, message: {} });
      expect(await before).toMatchObject({ code: 'INVALID_PAYLOAD', retryable: false });
      expect((await first).position?.seq).toBe(1);
      const second = failure(broadcaster.broadcastMessage(circular(newGroup())));
      expect(await second).toMatchObject({ code: 'INVALID_PAYLOAD' });
      expect((await broadcaster.broadcastMessage({ groupId, message: {} })).position?.seq).toBe(2);
    });

    test('because it is larger than the relay takes rejects with PAYLOAD_TOO_LARGE, and takes no other call with it', async () => {
      const groupId = newGroup();
      const broadcaster = open();
      // 1.2 MB in 400,000 characters, and a batch with more characters that is allowed.
      const huge = failure(broadcaster.broadcastMessage({ groupId, message: { content: '…'.repeat(400_000) } }));
      const items = Array.from({ length: 14 }, () => ({ groupId, message: { content: 'x'.repeat(60_000) } }));
      const batch = broadcaster.broadcastBatch(items);
      const last = broadcaster.broadcastMessage({ groupId: newGroup(), message: {} });
      expect(await huge).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', retryable: false });
      expect((await batch).map(({ ok }) => ok)).toEqual(items.map(() => true));
      expect((await last).position?.seq).toBe(1);
    });
  });

  describe(`a relay that does not take the token ${way}`, () => {
    test.each<[string, PublisherOptions]>([
      ['a wrong secret', { serviceSecret: `${SECRET}x` }],
      ['a token of another secret', { tokenProvider: signedBy(`${SECRET}x`, 'broadcast') }],
      ['a user’s token', { tokenProvider: async () => tokenFor('alice') }],
    ])('%s rejects calls at once, with the relay’s own code', async (_, options) => {
      // Longer than this test may take: none of them waits for it.
      const broadcaster = open({ timeoutMs: 60_000, ...options });
      const calls = [1, 2].map(async (id) => failure(broadcaster.broadcastMessage({ groupId: 1, id, message: {} })));
      for (const error of [
        ...(await Promise.all(calls)),
        await failure(broadcaster.addMembers({ groupId: 1, userIds: [] })),
      ]) {
        expect(error).toMatchObject({ code: 'SERVICE_TOKEN_INVALID', retryable: false });
        expect(error.message).toMatch(/^unable to send api-[a-z-]+; the relay at http:\S+ refuses this back end: /);
        expect(error.message).toContain('unable to accept the service token');
      }
    });

    test.each(['S3CRET\nS3CRET', 'S3CRET\0', 'S3CRET S3CRET', 'S3CRET\u20ac', ''])(
      'refuses characters that no token has, and the error does not show the token: %j',
      async (token) => {
        const error = await failure(open({ tokenProvider: () => token }).broadcastMessage({ groupId: 1, message: {} }));
        expect(error).toMatchObject({ code: 'SERVICE_TOKEN_INVALID', retryable: false });
        expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('S3CRET');
      },
    );

    test('takes one with a newline at its end, as it is read from a file', async () => {
      const tokenProvider = async (): Promise<string> => `${await signedBy(SECRET, 'broadcast')()}\r\n`;
      const groupId = newGroup();
      expect((await open({ tokenProvider }).broadcastMessage({ groupId, message: {} })).groupId).toBe(groupId);
    });

    test('has not refused one that cannot be had: calls say why they failed', async () => {
      const tokenProvider = async (): Promise<string> => Promise.reject(new Error('the vault is closed'));
      const error = await failure(
        open({ timeoutMs: 500, tokenProvider }).broadcastMessage({ groupId: 1, message: {} }),
      );
      expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
      expect(error.message).toContain('there is no service token (the vault is closed)');
    });

    test('is never asked where the token does not come in time', async () => {
      const tokenProvider = async (): Promise<string> => new Promise(() => undefined);
      const error = await failure(
        open({ timeoutMs: 300, tokenProvider }).broadcastMessage({ groupId: 1, message: {} }),
      );
      expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
      expect(error.message).toContain('within 300 ms');
    });

    test('needs a secret or a provider to begin with', () => {
      expect(() => open({ serviceSecret: '' })).toThrow(TypeError);
    });
  });

  describe(`calls ${way} that wait`, () => {
    test('have a limit; one more is refused at once', async () => {
      const tokenProvider = async (): Promise<string> => new Promise(() => undefined);
      const broadcaster = open({ tokenProvider, maxPending: 2 });
      const waiting = [1, 2].map(async (id) => failure(broadcaster.broadcastMessage({ groupId: 1, id, message: {} })));
      const error = await failure(broadcaster.broadcastMessage({ groupId: 1, id: 3, message: {} }));
      expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
      expect(error.message).toContain('2 calls are already waiting');
      await broadcaster.close();
      expect((await Promise.all(waiting)).map(({ message }) => message)).not.toContain(error.message);
    });

    test('make room for others once they are answered', async () => {
      const groupId = newGroup();
      const broadcaster = open({ maxPending: 1 });
      for (const seq of [1, 2, 3]) {
        expect((await broadcaster.broadcastMessage({ groupId, message: {} })).position?.seq).toBe(seq);
      }
    });

    test('fail where no relay can be reached, and say why', async () => {
      const error = await failure(open({ url: NOWHERE, timeoutMs: 300 }).broadcastMessage({ groupId: 1, message: {} }));
      expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
      const why = `the relay at ${NOWHERE} cannot be reached (ECONNREFUSED)`;
      expect(error.message).toContain(`unable to send api-broadcast-message; ${why}`);
    });

    test('and every later one are rejected by close', async () => {
      const tokenProvider = async (): Promise<string> => new Promise(() => undefined);
      const broadcaster = open({ tokenProvider });
      const waiting = [1, 2, 3].map(async (id) =>
        failure(broadcaster.broadcastMessage({ groupId: 1, id, message: {} })),
      );
      await broadcaster.close();
      for (const error of await Promise.all(waiting)) {
        expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
        expect(error.message).toContain('the broadcaster was closed');
      }
      const later = await failure(broadcaster.notifyUsers({ userIds: ['a'], event: 'x', data: {} }));
      expect(later).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: false });
    });
  });
}
