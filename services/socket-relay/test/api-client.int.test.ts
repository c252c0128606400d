import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createApiClient } from '../src/upstream/api-client.ts';

let servers: Server[];
beforeEach(() => {
  servers = [];
});
afterEach(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Answers everything with `status` and `headers`, and writes down who asked. */
async function startServer(
  status: number,
  headers: Record<string, string>,
  body = '',
): Promise<{ url: string; asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    request.resume();
    response.writeHead(status, headers).end(body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

// 301 to 303 repeat a POST as a GET, 307 and 308 with its body.
test.each([301, 302, 303, 307, 308])('a %i of the API leads nowhere else', async (status) => {
  const elsewhere = await startServer(200, { 'content-type': 'application/json' }, '{"users":[{"groupIds":["g"]}]}');
  const api = await startServer(status, { location: `${elsewhere.url}/internal/memberships` });
  const client = createApiClient({ apiUrl: api.url, secret: 's'.repeat(32), fillEvents: 10 });
  await expect(client.memberOf('alice', ['g'])).rejects.toMatchObject({ code: 'API_UNAVAILABLE', retryable: true });
  expect(api.asked.map(({ url }) => url)).toEqual(['/internal/memberships']);
  expect(elsewhere.asked).toEqual([]);
});
