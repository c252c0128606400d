import { expect, test } from 'vitest';
import { createApiMetrics } from '../src/metrics.ts';

const NAMES = ['outbox_backlog_events', 'outbox_backlog_groups', 'outbox_oldest_seconds'];

test('a scrape shows the backlog of its own moment, in all its figures, and the last one where nobody answers', async () => {
  let scrapes = 0;
  let isAway = false;
  const metrics = createApiMetrics(async () => {
    if (isAway) throw new Error('the database is away');
    scrapes += 1;
    return { events: scrapes, groups: scrapes, oldestSeconds: scrapes };
  });
  const scrape = async (): Promise<number[]> => {
    const text = await metrics.registry.metrics();
    return NAMES.map((name) => Number(new RegExp(`^groupcast_api_${name} (\\d+)$`, 'm').exec(text)?.[1]));
  };
  expect(await scrape()).toEqual([1, 1, 1]);
  expect(await scrape()).toEqual([2, 2, 2]);
  isAway = true;
  expect(await scrape()).toEqual([2, 2, 2]);
  isAway = false;
  expect(await scrape()).toEqual([3, 3, 3]);
});
