import type { GroupLog } from '../group-log/group-log.ts';
import type { ChangeLog, ChangeLogOptions } from '../nodes/change-log.ts';
import type { ShardChannels } from '../nodes/channels.ts';
import type { NodeLeases, RenewLease } from '../nodes/node-leases.ts';
import type { OpenSessionStore } from '../nodes/session-store.ts';
import type { PresenceStore } from '../presence/presence-store.ts';
import type { PatternChannels } from '../redis/pattern-channels.ts';

/** The part of a cluster that depends on where it is kept: in Redis, or in the primary process of the machine. */
export interface Broker {
  /** Its name in `/readyz` when it fails. */
  readonly name: 'redis' | 'workers';
  readonly groupLogKind: 'redis' | 'memory';
  readonly channels: ShardChannels;
  /** Carries what is transient. In Redis it has connections of its own, so that it is in the way of nothing that has a position. */
  readonly transientChannels: ShardChannels;
  /** Channels of programs that know nothing of the relay; only Redis has them. */
  readonly patternChannels: PatternChannels | undefined;
  readonly groupLog: GroupLog;
  readonly renewLease: RenewLease;
  openPresence(leases: NodeLeases): PresenceStore;
  /** Keeps sessions that outlive their node; only Redis does. */
  readonly openSessionStore: OpenSessionStore | undefined;
  /** Reads the remembered changes, and follows from there. */
  startChangeLog(options: ChangeLogOptions): Promise<ChangeLog>;
  isReady: () => boolean;
  stop(): void;
}
