import { request, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** Opens a server on a free port of 127.0.0.1. `close` cuts its connections. */
export async function openServer(server: Server): Promise<{ port: number; close: () => Promise<void> }> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A TCP connection on which a test writes what it likes. */
export interface RawConnection {
  socket: Socket;
  /** All that has come so far. */
  text(): string;
  isClosed(): boolean;
}

/** Connects to a port of 127.0.0.1. Errors of the connection are ignored: being cut is what is tested. */
export function openRaw(port: number): RawConnection {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  let text = '';
  let closed = false;
  socket.on('data', (data: Buffer) => {
    text += data.toString();
  });
  socket.on('close', () => {
    closed = true;
  });
  return { socket, text: () => text, isClosed: () => closed };
}

/** Asks with any headers, `host` too, which `fetch` does not let through. Resolves to the status, and the code of an error of ours. */
export async function askRaw(asked: {
  host?: string;
  port: number;
  path: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string | undefined;
}): Promise<[status: number | undefined, code: string | undefined]> {
  const { host = '127.0.0.1', method = 'GET', headers = {}, body, ...rest } = asked;
  return new Promise((resolve, reject) => {
    const asking = request({ host, method, headers, ...rest }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        const code = text.startsWith('{"error"') ? /"code":"(\w+)"/.exec(text)?.[1] : undefined;
        resolve([response.statusCode, code]);
      });
    });
    asking.once('error', reject).end(body);
  });
}
