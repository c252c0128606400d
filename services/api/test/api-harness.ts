import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { pino } from 'pino';
import { type Api, startApi } from '../src/api.ts';
import { readApiConfig } from '../src/config.ts';
import { expectDescribed } from './described-answers.ts';

export interface Answer<T = Record<string, unknown>> {
  status: number;
  body: T;
}

export interface ApiUnderTest extends Api {
  url: string;
  /** Its warnings so far, parsed. */
  logged: Readonly<Record<string, unknown>>[];
  internalUrl: string;
  /** A request by `userId`, or with no token when it is `null`. Throws where the answer is not as the OpenAPI document says. */
  request<T = Record<string, unknown>>(
    userId: string | null,
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer<T>>;
}

/** A real API in this process, on a free port. `DATABASE_URL` picks the backend; without it a temporary folder. */
export async function startApiUnderTest(env: Readonly<Record<string, string>> = {}): Promise<ApiUnderTest> {
  const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-api-'));
  // Nobody listens on port 9: the relay is away unless `env` names one.
  const defaults = { API_PORT: '0', API_INTERNAL_PORT: '0', DATA_DIR: dataDir, RELAY_URL: 'http://127.0.0.1:9' };
  const config = readApiConfig({ ...TEST_SECRETS, ...defaults, ...env });
  const logged: Readonly<Record<string, unknown>>[] = [];
  const log = pino(
    { level: env['LOG_LEVEL'] ?? 'warn' },
    { write: (line: string) => void logged.push(JSON.parse(line)) },
  );
  const api = await startApi(config, log);
  const url = `http://127.0.0.1:${api.port}`;
  return {
    ...api,
    url,
    logged,
    internalUrl: `http://127.0.0.1:${api.internalPort}`,
    async request<T>(userId: string | null, method: string, path: string, body?: unknown, headers = {}) {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(userId === null ? {} : { authorization: `Bearer ${await tokenFor(userId)}` }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      await expectDescribed({ method, path }, response.status, text);
      return { status: response.status, body: (text ? JSON.parse(text) : {}) as T };
    },
    async close() {
      await api.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
