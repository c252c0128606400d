import { EVENT_LOOP_RESOLUTION_MS } from '@groupcast/service-kit';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { type BroadcastMetrics, createBroadcastMetrics } from './broadcasts.ts';
import { type ConnectionMetrics, createConnectionMetrics } from './connections.ts';
import { createDeliveryMetrics, type DeliveryMetrics } from './deliveries.ts';
import { createFanOutMetrics, type FanOutMetrics } from './fan-out.ts';
import { createHealthMetrics, type HealthMetrics } from './health.ts';

export interface RelayMetrics
  extends ConnectionMetrics,
    BroadcastMetrics,
    DeliveryMetrics,
    FanOutMetrics,
    HealthMetrics {
  registry: Registry;
}

/** One registry per relay, so that two relays in one process do not count for each other. */
export function createRelayMetrics(): RelayMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_RESOLUTION_MS });
  return {
    registry,
    ...createConnectionMetrics(registers),
    ...createBroadcastMetrics(registers),
    ...createDeliveryMetrics(registers),
    ...createFanOutMetrics(registers),
    ...createHealthMetrics(registers),
  };
}
