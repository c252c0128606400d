import { TEST_SECRETS } from '@groupcast/testing';
import type { FastifyRequest } from 'fastify';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { readApiConfig } from '../src/config.ts';
import { createRequestBudgets } from '../src/http/request-budgets.ts';
import { createApiMetrics } from '../src/metrics.ts';

function count(trustedProxies: number, headers: Record<string, string>): string[] {
  const lines: string[] = [];
  const log = pino({}, { write: (line) => void lines.push((JSON.parse(line) as { msg: string }).msg) });
  const metrics = createApiMetrics(
    async () => ({ events: 0, oldestMs: 0 }) as never,
    () => 0,
  );
  const { limits } = readApiConfig({ ...TEST_SECRETS, DATABASE_URL: 'postgres://nobody@127.0.0.1:9/none' });
  const budgets = createRequestBudgets({ metrics, log }, { ...limits, trustedProxies });
  const request = { ip: '127.0.0.1', method: 'GET', headers, routeOptions: { config: {} } };
  for (let times = 0; times < 3; times += 1) budgets.count(request as unknown as FastifyRequest);
  return lines;
}

test('a proxy that is not named is said in the log, once: all its users have one address', () => {
  const headers = { 'x-forwarded-for': '203.0.113.7' };
  expect(count(0, headers)).toEqual([expect.stringContaining('TRUST_PROXY')]);
  expect(count(1, headers)).toEqual([]);
  expect(count(0, {})).toEqual([]);
});
