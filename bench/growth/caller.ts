import { Agent, request } from 'node:http';
import { AUDIENCE } from '@groupcast/shared';
import { TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { Services } from '../route.ts';

const ANSWER_MS = 30_000;
/** A service token lives for five minutes. */
const RENEW_MS = 120_000;

export interface Call {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  body?: object;
  /** The user who asks; a relay without. */
  userId?: string;
}

/** Asks an API over connections that are kept open. */
export interface Caller {
  /** Throws where the answer is no success, or takes too long. `ms`: until the whole answer was there. */
  ask<T>(call: Call): Promise<{ ms: number; answer: T }>;
  close(): void;
}

export function createCaller({ apiUrl, apiInternalUrl }: Services): Caller {
  const agent = new Agent({ keepAlive: true });
  const tokens = new Map<string, string>();
  let service = { token: '', madeAt: Number.NEGATIVE_INFINITY };

  async function tokenOf(userId: string | undefined): Promise<string> {
    if (userId !== undefined) {
      const token = tokens.get(userId) ?? (await tokenFor(userId, undefined, 3 * 3_600));
      tokens.set(userId, token);
      return token;
    }
    if (performance.now() - service.madeAt > RENEW_MS) {
      const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, scopes: ['relay'], subject: 'bench' } as const;
      service = { token: await signServiceToken({ ...options, audience: AUDIENCE.api }), madeAt: performance.now() };
    }
    return service.token;
  }

  return {
    async ask<T>({ method, path, body, userId }: Call) {
      const headers: Record<string, string | number> = { authorization: `Bearer ${await tokenOf(userId)}` };
      const text = body === undefined ? '' : JSON.stringify(body);
      if (body !== undefined) {
        headers['content-type'] = 'application/json';
        headers['content-length'] = Buffer.byteLength(text);
      }
      const startedAt = performance.now();
      return new Promise<{ ms: number; answer: T }>((resolve, reject) => {
        const url = `${path.startsWith('/internal/') ? apiInternalUrl : apiUrl}${path}`;
        const sent = request(url, { method, agent, headers, timeout: ANSWER_MS }, (response) => {
          let received = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            received += chunk;
          });
          response.once('error', reject).once('end', () => {
            const ms = performance.now() - startedAt;
            const { statusCode = 0 } = response;
            if (statusCode >= 200 && statusCode < 300)
              resolve({ ms, answer: (received === '' ? {} : JSON.parse(received)) as T });
            else reject(new Error(`${method} ${path} was answered ${statusCode}: ${received.slice(0, 500)}`));
          });
        });
        sent.once('timeout', () => sent.destroy(new Error(`waited ${ANSWER_MS} ms for ${method} ${path}`)));
        sent.once('error', reject).end(text);
      });
    },
    close: () => agent.destroy(),
  };
}
