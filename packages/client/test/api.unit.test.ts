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
      api.users(['bob']),
      api.messages('g', { limit: 1 }),
      api.events('g', { epoch: 'e', seq: 1 }),
      api.send('g', { content: 'x', clientMessageId: 'c' }),
      api.markRead('g', 1),
    ]),
    once: codesOf([
      api.createGroup({ memberIds: [] }),
      api.renameGroup('g', 'x'),
      api.deleteGroup('g'),
      api.addMembers('g', ['bob']),
      api.removeMember('g', 'bob'),
      api.editMessage('g', 'm', 'x'),
      api.deleteMessage('g', 'm'),
    ]),
  });
  const first = start();
  await expect.poll(() => answers.length).toBe(15);
  api.abandon();
  expect(new Set(await first.repeatable)).toEqual(new Set(['UNREACHABLE']));
  for (const answer of answers.splice(0)) answer();
  expect(new Set(await first.once)).toEqual(new Set(['INTERNAL']));
  // A client that is closed waits for nothing.
  const second = start();
  await expect.poll(() => answers.length).toBe(15);
  api.stop();
  expect(new Set([...(await second.repeatable), ...(await second.once)])).toEqual(new Set(['CLOSED']));
});
