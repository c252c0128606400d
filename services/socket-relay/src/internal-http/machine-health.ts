import type { Registry } from 'prom-client';
import type { Endpoint } from '../ipc/endpoint.ts';
import type { HealthReport, Readiness } from './readiness.ts';

/** The health of this machine as the internal port shows it, whether one relay is on it or several workers. */
export interface MachineHealth {
  /** Returns the parts that fail on this machine. */
  report(): Promise<HealthReport>;
  /** Returns the metrics of this machine in Prometheus's text. */
  metricsText(): Promise<string>;
}

/** The health of a relay that is alone on its machine. */
export function healthOfOne(readiness: Readiness, registry: Registry): MachineHealth {
  return { report: async () => readiness.report(), metricsText: async () => registry.metrics() };
}

/** Answers the primary for this worker, and asks it for all of them. */
export function healthOfAll(readiness: Readiness, registry: Registry, primary: Endpoint): MachineHealth {
  primary.answer('health', readiness.report);
  primary.answer('metrics', async () => registry.getMetricsAsJSON());
  return {
    report: async () =>
      primary.ask<HealthReport>('machine-health').catch(() => ({ failing: ['workers'], degraded: [] })),
    metricsText: async () => primary.ask('machine-metrics'),
  };
}
