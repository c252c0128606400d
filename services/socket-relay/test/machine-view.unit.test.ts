import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { HealthReport } from '../src/internal-http/readiness.ts';
import type { Endpoint } from '../src/ipc/endpoint.ts';
import { createMachineView } from '../src/workers/machine-view.ts';

const READY: HealthReport = { failing: [], degraded: [] };

/** A worker that answers with this report, or not at all. */
function worker(report: HealthReport | undefined): Endpoint {
  return {
    async ask(method: string) {
      if (report && method === 'health') return report;
      throw new Error('the other side is gone');
    },
  } as unknown as Endpoint;
}

test.each([
  ['is ready when all workers are', [worker(READY), worker(READY)], READY],
  [
    'is degraded, and not unready, when one worker’s back end does not answer',
    [worker(READY), worker({ failing: [], degraded: ['back-end'] }), worker({ failing: [], degraded: ['back-end'] })],
    { failing: [], degraded: ['back-end'] },
  ],
  [
    'names what fails on any worker, each once',
    [worker({ failing: ['redis'], degraded: ['back-end'] }), worker({ failing: ['redis', 'draining'], degraded: [] })],
    { failing: ['redis', 'draining'], degraded: ['back-end'] },
  ],
  ['is unready while a worker is not there', [worker(READY), undefined], { failing: ['workers'], degraded: [] }],
  ['… or does not answer', [worker(READY), worker(undefined)], { failing: ['workers'], degraded: [] }],
])('a machine %s', async (_what, workers, expected) => {
  expect(await createMachineView({ workers: () => workers, registry: new Registry() }).health()).toEqual(expected);
});
