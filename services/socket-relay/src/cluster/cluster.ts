import type { MonitorSnapshot } from '@groupcast/shared';
import type { GroupFeed } from '../feed/feed.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { MemberChanges } from '../membership/member-changes.ts';
import type { NodeLeases } from '../nodes/node-leases.ts';
import type { NodeRequests, OtherNodes } from '../nodes/node-requests.ts';
import type { OpenSessionStore } from '../nodes/session-store.ts';
import type { PresenceStore } from '../presence/presence-store.ts';
import type { PatternChannels } from '../redis/pattern-channels.ts';
import type { Carrier } from '../transient/carrier.ts';
import type { Relays } from './relays.ts';

/**
 * Everything that a relay shares with others. A relay that is alone has a cluster of the same shape (`alone.ts`), so that nothing else asks
 * whether there are others.
 */
export interface Cluster {
  readonly groupLog: GroupLog;
  readonly groupLogKind: 'redis' | 'memory';
  readonly leases: Pick<NodeLeases, 'start' | 'held' | 'beforeTrust' | 'onChange' | 'showCanary' | 'othersCanary'>;
  readonly feed: GroupFeed;
  readonly presence: PresenceStore;
  /** Takes transient messages to other nodes; `undefined` where there are none. */
  readonly carrier: Carrier | undefined;
  /** Channels of programs that know nothing of the relay; only Redis has them. */
  readonly patternChannels: PatternChannels | undefined;
  /** Keeps sessions that outlive this relay; `undefined` where nothing does. */
  readonly openSessionStore: OpenSessionStore | undefined;
  /** Asks every other relay that shares groups with this one, and answers it. */
  readonly otherNodes: OtherNodes;
  /** Asks the relays of other machines; `undefined` where there can be none. */
  readonly otherMachines: Pick<NodeRequests, 'answer' | 'survey'> | undefined;
  /** Reads the changes of members that are remembered, follows them from there, and answers with all relays as one. */
  followChanges(options: FollowChangesOptions): Promise<Relays>;
  /** Returns the connections of other relays for the monitors of this one, and shows their events from now on. */
  openMonitorLink(): Promise<MonitorSnapshot[]>;
  /** Returns the names for `/readyz`; none while the broker can be reached and the lease holds. */
  failing(): string[];
  /** Gives the lease back, and then listens to no other relay any more. */
  leave(): Promise<void>;
  /** Comes last: open questions to the broker fail. */
  stop(): void;
}

export interface FollowChangesOptions {
  changes: MemberChanges;
  /** Is called before the first change: since when (Unix seconds) the log knows every change. Is called again each time changes were lost. */
  onBirth: (second: number) => void;
}
