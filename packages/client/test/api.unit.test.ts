import { expect, test } from 'vitest';
import { createApi } from '../src/api.ts';

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
        // Whoever goes on has failed the test.
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
