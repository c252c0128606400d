import type { Logger } from '@groupcast/service-kit';
import type { GroupLog } from '../../group-log/group-log.ts';
import { answerCalls, type Endpoint, type Remote, remoteOf } from '../../ipc/endpoint.ts';
import type { RelayMetrics } from '../../metrics/relay-metrics.ts';
import { brokerUnavailable } from '../../nodes/broker-errors.ts';
import { type ChangeLog, type ChangeLogOptions, createOutcomes } from '../../nodes/change-log.ts';
import type { PresenceStore } from '../../presence/presence-store.ts';
import { type Broker } from '../broker.ts';
import type { BusCalls, WorkerCalls } from './bus-calls.ts';
import type { BusChange } from './bus-changes.ts';
import { createBusChannels } from './bus-channels.ts';

/** Rejects with `BROKER_UNAVAILABLE` when the primary does not answer in time. */
async function ask<T>(what: string, work: () => Promise<T>, details?: Record<string, unknown>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw brokerUnavailable(what, cause, details);
  }
}

/** The group log of the primary, from a worker. */
export function createBusGroupLog(endpoint: Endpoint): GroupLog {
  const primary = remoteOf<BusCalls>(endpoint);
  return {
    append: async (input) =>
      ask(`broadcast to group "${input.groupId}"`, async () => primary.ask('append', input), { id: input.id }),
    head: async (groupId) => ask(`read the log of group "${groupId}"`, async () => primary.ask('head', groupId)),
    read: async (groupId, ...rest) =>
      ask(`read the log of group "${groupId}"`, async () => primary.ask('read', groupId, ...rest)),
    backfill: async (groupId, ...rest) =>
      ask(`fill the log of group "${groupId}"`, async () => primary.ask('backfill', groupId, ...rest)),
    stats: () => undefined,
    async close() {
      // The primary owns the log and closes it.
    },
  };
}

function createBusPresenceStore(primary: Remote<BusCalls>): PresenceStore {
  return {
    set: (groupId, userId, connections) => primary.tell('set-presence', groupId, userId, connections),
    read: async (groupId) =>
      ask(`tell who is in group "${groupId}"`, async () => primary.ask('read-presence', groupId)),
    onChange() {
      // Changes are published on the channel of the group.
    },
    async stop() {
      primary.tell('drop-presence');
    },
  };
}

async function startBusChangeLog(endpoint: Endpoint, options: ChangeLogOptions): Promise<ChangeLog> {
  const primary = remoteOf<BusCalls>(endpoint);
  const { log } = options;
  const outcomes = createOutcomes();
  let carrying = Promise.resolve();

  async function carryOut({ id, ...stored }: BusChange): Promise<void> {
    let connections = 0;
    try {
      connections = await options.carryOut(stored);
    } catch (error) {
      log.error({ err: error, id }, 'unable to carry out a change of members');
    }
    outcomes.settle(id, connections);
  }

  answerCalls<WorkerCalls>(endpoint, {
    change(stored) {
      carrying = carrying.then(async () => carryOut(stored));
    },
  });
  const past = await primary.ask('follow-changes');
  options.onBirth(past.bornAt);
  for (const stored of past.changes) {
    options.remember(stored);
    outcomes.settle(stored.id, 0);
  }

  return {
    append: async (change) => ask('store a change of members', async () => primary.ask('append-change', change)),
    reached: async (id) => outcomes.reached(id),
    // Changes and renewals come over one channel, in order: changes from before the renewal are in the chain.
    caughtUp: async () => carrying,
    stop: async () => carrying,
  };
}

/** Shares with the other workers through the primary process: see `bus.ts`. */
export function openBusBroker(deps: { primary: Endpoint; node: string; metrics: RelayMetrics; log: Logger }): Broker {
  const { node, metrics, log } = deps;
  const primary = remoteOf<BusCalls>(deps.primary);
  primary.tell('node', node);
  const channels = createBusChannels({ primary: deps.primary, metrics, log });
  return {
    name: 'workers',
    groupLogKind: 'memory',
    channels,
    transientChannels: channels,
    patternChannels: undefined,
    // The workers of a machine end together.
    openSessionStore: undefined,
    groupLog: createBusGroupLog(deps.primary),
    renewLease: async (_node, ms, hasMonitors) => primary.ask('renew', ms, hasMonitors),
    openPresence: () => createBusPresenceStore(primary),
    startChangeLog: async (options) => startBusChangeLog(deps.primary, options),
    isReady: () => true,
    stop() {
      // The channel to the primary lasts as long as the process.
    },
  };
}
