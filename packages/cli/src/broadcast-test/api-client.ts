import http from 'node:http';
import https from 'node:https';
import type { ErrorBody } from '@groupcast/shared';
import { printable } from '../terminal.ts';

/** A request without a 2xx answer. `code` is the API's own, else the network's, else `HTTP_<status>`. */
export class RequestFailure extends Error {
  override readonly name = 'RequestFailure';
  readonly code: string;
  /** Whether an HTTP answer came at all. */
  readonly answered: boolean;

  constructor(code: string, message: string, answered: boolean) {
    super(message);
    this.code = code;
    this.answered = answered;
  }
}

export interface ApiClient {
  readonly url: string;
  /** The JSON of a 2xx answer. Rejects with a `RequestFailure`; nothing is sent twice. */
  request(method: 'GET' | 'POST' | 'DELETE', path: string, token: string, body?: object): Promise<unknown>;
  close(): void;
}

function readAnswer(status: number, text: string): { body: unknown } | RequestFailure {
  let body: unknown;
  try {
    body = text === '' ? undefined : JSON.parse(text);
  } catch {
    return new RequestFailure(`HTTP_${status}`, 'the answer is not JSON; is this the API?', true);
  }
  if (status >= 200 && status < 300) return { body };
  const error = (body as { error?: Partial<ErrorBody> } | undefined)?.error;
  return new RequestFailure(
    printable(error?.code ?? `HTTP_${status}`),
    printable(error?.message ?? `HTTP ${status}`),
    true,
  );
}

/** Kept-alive connections of `node:http`: a request costs this process a quarter of what `fetch` does. */
export function createApiClient(options: { url: string; timeoutMs: number; maxSockets: number }): ApiClient {
  const { url, timeoutMs, maxSockets } = options;
  const secure = url.startsWith('https:');
  const agent = new (secure ? https : http).Agent({ keepAlive: true, maxSockets });
  const send = secure ? https.request : http.request;

  return {
    url,
    async request(method, path, token, body) {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers = {
        authorization: `Bearer ${token}`,
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      };
      return new Promise((resolve, reject) => {
        const fail = (error: NodeJS.ErrnoException): void => {
          const code = error.code ?? 'NETWORK';
          reject(new RequestFailure(code, printable(error.message || code), false));
        };
        const request = send(`${url}${path}`, { method, agent, headers, timeout: timeoutMs }, (response) => {
          let received = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => {
            received += chunk;
          });
          response.on('error', fail);
          response.on('end', () => {
            const answer = readAnswer(response.statusCode ?? 0, received);
            if (answer instanceof RequestFailure) reject(answer);
            else resolve(answer.body);
          });
        });
        request.on('error', fail);
        request.on('timeout', () => {
          request.destroy(Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: 'TIMEOUT' }));
        });
        request.end(text);
      });
    },
    close() {
      agent.destroy();
    },
  };
}
