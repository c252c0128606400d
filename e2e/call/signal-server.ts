import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SignalServer {
  port: number;
  /** The messages that were sent to the group. */
  messages: unknown[];
  /** The servers that a user's browser is told of; none by default. */
  iceServersOf: (userId: string) => object[];
  stop: () => Promise<void>;
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return JSON.parse(text || '{}') as Record<string, unknown>;
}

/** A relay of signals and nothing else, for the test of calls: everybody is in every group. */
export async function startSignalServer(): Promise<SignalServer> {
  const windows = new Map<ServerResponse, string>();
  const messages: unknown[] = [];

  function listen(userId: string, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'access-control-allow-origin': '*' }).write('\n');
    windows.set(response, userId);
    response.on('close', () => windows.delete(response));
  }

  function signal({ userId, toUserId, groupId, kind, data }: Record<string, unknown>): object {
    const reached = [...windows].filter(([, user]) => user === toUserId);
    const payload = JSON.stringify({ groupId: String(groupId), fromUserId: userId, kind, data });
    for (const [window] of reached) window.write(`data: ${payload}\n\n`);
    return { delivered: reached.length };
  }

  async function answer(path: string, request: IncomingMessage): Promise<object> {
    const body = await bodyOf(request);
    if (path === '/signal') return signal(body);
    if (path === '/ice-servers') return self.iceServersOf(String(body['userId']));
    return { count: messages.push(body['message']) };
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost');
    if (url.pathname === '/events') return listen(url.searchParams.get('user') ?? '', response);
    void answer(url.pathname, request).then((body) => {
      response.writeHead(200, { 'access-control-allow-origin': '*' }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const self: SignalServer = {
    port: (server.address() as AddressInfo).port,
    messages,
    iceServersOf: () => [],
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return self;
}
