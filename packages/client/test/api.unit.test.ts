import { expect, test } from 'vitest';
import { createApi } from '../src/api/api.ts';

/** The API of somebody whose `fetch` answers with `response`. */
function apiOf(response: () => Response): ReturnType<typeof createApi> {
  return createApi({
    apiUrl: '',
    tokens: { get: async () => 'token', refuse: () => undefined },
    fetch: async () => response(),
    clock: { now: () => 0, setTimeout: () => 0 as never, clearTimeout: () => undefined },
  } as unknown as Parameters<typeof createApi>[0]);
}

test('an answer without an end is not read to it: UNREACHABLE, and worth another try', async () => {
  let sent = 0;
  let isCancelled = false;
  const endless = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = new Uint8Array(4 * 1_048_576).fill(32);
        sent += chunk.byteLength;
        // A reader that goes on has failed the test.
        if (sent > 256 * 1_048_576) controller.close();
        else controller.enqueue(chunk);
      },
      cancel() {
        isCancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  await expect(apiOf(() => new Response(endless)).connectionToken()).rejects.toMatchObject({
    code: 'UNREACHABLE',
    retryable: true,
  });
  expect(isCancelled).toBe(true);
});

test('an answer is read where fetch has no streams too', async () => {
  const answer = { token: 'a', relayUrl: 'b' };
  const response = { ok: true, status: 200, text: async () => JSON.stringify(answer) } as Response;
  expect(await apiOf(() => response).connectionToken()).toEqual(answer);
});

test('abandons what may be asked again, and not what may have been done and cannot be: its answer is waited for', async () => {
  const answers: (() => void)[] = [];
  const api = createApi({
    apiUrl: '',
    tokens: { get: async () => 'token', refuse: () => undefined },
    fetch: async (_url: string, { signal }: RequestInit) =>
      new Promise<Response>((resolve, reject) => {
        answers.push(() => resolve(new Response('{"group": {}, "message": {}}', { status: 403 })));
        signal?.addEventListener('abort', () => reject(new Error('aborted')));
      }),
    clock: { now: () => 0, setTimeout: () => 0 as never, clearTimeout: () => undefined },
  } as unknown as Parameters<typeof createApi>[0]);
  const codeOf = async (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'answered',
      ({ code }: { code: string }) => code,
    );
  const codesOf = async (work: Promise<unknown>[]): Promise<string[]> => Promise.all(work.map(codeOf));
  const start = () => ({
    repeatable: codesOf([
      api.connectionToken(),
      api.groups(),
      api.group('g'),
      api.members('g'),
      api.users(['bob']),
      api.messages('g', { limit: 1 }),
      api.events('g', { epoch: 'e', seq: 1 }),
      api.send('g', { content: 'x', clientMessageId: 'c' }),
      api.markRead('g', 1),
    ]),
    once: codesOf([
      api.createGroup({ memberIds: [] }),
      api.renameGroup('g', 'x'),
      api.updateGroup('g', { retentionDays: 7 }),
      api.deleteGroup('g'),
      api.addMembers('g', ['bob']),
      api.removeMember('g', 'bob'),
      api.editMessage('g', 'm', 'x'),
      api.deleteMessage('g', 'm'),
    ]),
  });
  const first = start();
  await expect.poll(() => answers.length).toBe(17);
  api.abandon();
  expect(new Set(await first.repeatable)).toEqual(new Set(['UNREACHABLE']));
  for (const answer of answers.splice(0)) answer();
  expect(new Set(await first.once)).toEqual(new Set(['INTERNAL']));
  // A client that is closed waits for nothing.
  const second = start();
  await expect.poll(() => answers.length).toBe(17);
  api.stop();
  expect(new Set([...(await second.repeatable), ...(await second.once)])).toEqual(new Set(['CLOSED']));
});

/** The API of somebody who is answered `answer` to everything, and what it was asked. */
function scriptedApi(answer: object): { api: ReturnType<typeof createApi>; asked: unknown[] } {
  const asked: unknown[] = [];
  const api = createApi({
    apiUrl: '',
    tokens: { get: async () => 'token', refuse: () => undefined },
    fetch: async (path: string, { method, body }: RequestInit) => {
      asked.push([method, path, ...(typeof body === 'string' ? [JSON.parse(body)] : [])]);
      return new Response(JSON.stringify(answer));
    },
    clock: { now: () => 0, setTimeout: () => 0 as never, clearTimeout: () => undefined },
  } as unknown as Parameters<typeof createApi>[0]);
  return { api, asked };
}

const position = { epoch: '1-a', seq: 4 };
const group = { id: 7, name: 'Team', kind: 'group', createdAt: '2026-01-01T00:00:00.000Z', position };

test('a page of members is asked for by cursor and limit, and what cannot be read is left out', async () => {
  const members = [{ userId: 1, role: 'owner', name: 'One' }, { userId: 'two' }, { userId: 'has space' }, null];
  const { api, asked } = scriptedApi({ members, memberCount: 300, position, nextCursor: 'a+b/c' });
  expect(await api.members(7, { cursor: 'x+y', limit: 500 })).toEqual({
    members: [
      { userId: '1', role: 'owner', name: 'One' },
      { userId: 'two', role: 'member' },
    ],
    memberCount: 300,
    position,
    nextCursor: 'a+b/c',
  });
  await api.members('7');
  expect(asked).toEqual([
    ['GET', '/api/messaging/groups/7/members?limit=500&cursor=x%2By'],
    ['GET', '/api/messaging/groups/7/members?limit=100'],
  ]);
});

test.each([
  ['without members', { memberCount: 1, position }],
  ['without a position', { members: [], memberCount: 0 }],
  ['with a count that is none', { members: [], memberCount: -1, position }],
  ['without a count', { members: [], position }],
])('a page of members %s is refused: INTERNAL, and worth another try', async (_, answer) => {
  await expect(scriptedApi(answer).api.members('g')).rejects.toMatchObject({ code: 'INTERNAL', retryable: true });
});

test('a last page of members names no next one', async () => {
  const page = await scriptedApi({ members: [], memberCount: 0, position, nextCursor: null }).api.members('g');
  expect(page).not.toHaveProperty('nextCursor');
});

test('a group has the number of its members, and without one as many as it names', async () => {
  const members = [{ userId: 'a', role: 'owner' }, { userId: 'b' }];
  const groupFor = async (more: object) => scriptedApi({ group: { ...group, members, ...more } }).api.group('7');
  expect(await groupFor({ memberCount: 50_000 })).toMatchObject({ id: '7', memberCount: 50_000 });
  for (const more of [{}, { memberCount: '50000' }, { memberCount: -1 }, { memberCount: 1.5 }])
    expect(await groupFor(more)).toMatchObject({ memberCount: 2 });
});

test('a group has a retention of its own, or none', async () => {
  const groupFor = async (more: object) => scriptedApi({ group: { ...group, members: [], ...more } }).api.group('7');
  expect(await groupFor({ retentionDays: 30 })).toMatchObject({ retentionDays: 30 });
  for (const more of [{}, { retentionDays: null }, { retentionDays: 0 }, { retentionDays: '30' }])
    expect(await groupFor(more)).not.toHaveProperty('retentionDays');
  const listed = { ...group, retentionDays: 30, memberCount: 1, unreadCount: 0, readSeq: 0, lastMessage: null };
  expect(await scriptedApi({ groups: [listed] }).api.groups()).toMatchObject([{ id: '7', retentionDays: 30 }]);
});

test('a group’s name and retention are changed together or one of them alone', async () => {
  const { api, asked } = scriptedApi({ group: { ...group, members: [] } });
  await api.updateGroup(7, { name: 'Team', retentionDays: 30 });
  await api.updateGroup(7, { retentionDays: null });
  await api.renameGroup(7, 'Ours');
  expect(asked).toEqual([
    ['PATCH', '/api/messaging/groups/7', { name: 'Team', retentionDays: 30 }],
    ['PATCH', '/api/messaging/groups/7', { retentionDays: null }],
    ['PATCH', '/api/messaging/groups/7', { name: 'Ours' }],
  ]);
});

test('receipts name the members or count them for one’s own newest message, and unreadable ones are left out', async () => {
  const receiptsOf = async (answer: object) => apiOf(() => Response.json(answer)).receipts('g');
  const users = { bob: { received: 4, read: 'x' }, 'a b': { received: 1, read: 1 } };
  expect(await receiptsOf({ memberCount: 2, position, users })).toEqual({
    memberCount: 2,
    position,
    users: new Map([['bob', { received: 4, read: 0 }]]),
    counts: null,
  });
  const counts = { seq: 7, received: 100, read: 3 };
  const large = { memberCount: 200, position, users: null };
  expect(await receiptsOf({ memberCount: 200, position, counts })).toEqual({ ...large, counts });
  expect(await receiptsOf({ memberCount: 200, position, counts: null })).toEqual({ ...large, counts: null });
  await expect(receiptsOf({ position, users: {} })).rejects.toMatchObject({ code: 'INTERNAL', retryable: true });
});

test('a profile has what one has said of oneself, and when one was last here', async () => {
  const lastSeenAt = '2026-01-01T00:00:00.000Z';
  const user = { id: 'bob', name: 'Bob', custom: { team: 7 }, lastSeenAt };
  const others = [user, { id: 'carol', custom: 'x', lastSeenAt: 5 }];
  expect(await apiOf(() => Response.json({ users: others })).users(['bob', 'carol'])).toEqual([user, { id: 'carol' }]);
  const own = { user: { ...user, hidesPresence: true } };
  expect(await apiOf(() => Response.json(own)).me()).toEqual(own.user);
  expect(await apiOf(() => Response.json({ user })).updateMe({ name: null })).toEqual({
    ...user,
    hidesPresence: false,
  });
  await expect(apiOf(() => Response.json({})).me()).rejects.toMatchObject({ code: 'INTERNAL' });
});
