import { AggregatorRegistry, type MetricObject, type Registry } from 'prom-client';
import type { HealthReport } from '../internal-http/readiness.ts';
import type { Endpoint } from '../ipc/endpoint.ts';

/** All workers as one, for `/readyz` and `/metrics` of the machine. */
export interface MachineView {
  /** Returns the parts that fail on any worker, each once; `workers` if one does not answer. */
  health(): Promise<HealthReport>;
  /** Returns the metrics of all workers in Prometheus's text, added up. */
  metrics(): Promise<string>;
}

export function createMachineView(deps: {
  /** Every worker there should be; `undefined` for one that is not ready. */
  workers: () => (Endpoint | undefined)[];
  /** The registry of the primary process itself. */
  registry: Registry;
}): MachineView {
  return {
    async health() {
      const silent: HealthReport = { failing: ['workers'], degraded: [] };
      const answers = await Promise.all(
        deps
          .workers()
          .map(async (worker) => (await worker?.ask<HealthReport>('health').catch(() => undefined)) ?? silent),
      );
      const once = (part: keyof HealthReport): string[] => [...new Set(answers.flatMap((answer) => answer[part]))];
      return { failing: once('failing'), degraded: once('degraded') };
    },
    async metrics() {
      const answers = await Promise.all(
        deps
          .workers()
          .map(async (worker) => (await worker?.ask<MetricObject[]>('metrics').catch(() => undefined)) ?? []),
      );
      return AggregatorRegistry.aggregate([...answers, await deps.registry.getMetricsAsJSON()]).metrics();
    },
  };
}
