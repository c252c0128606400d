import type { GroupEvent, MemberChange, Position } from '@groupcast/shared';
import type { AppendOutcome, LogInput, LogPage } from '../../group-log/group-log.ts';
import type { BusChange } from './bus-changes.ts';

/** The calls of a worker to the bus in its primary process. The arguments and results go from process to process. */
export interface BusCalls {
  /** The name of the worker's node. */
  node(node: string): void;
  subscribe(channel: string): void;
  unsubscribe(channel: string): void;
  /** Returns how many listen. */
  publish(channel: string, text: string): number;
  /** Renews the lease of the worker, or gives it back with 0 ms. */
  renew(ms: number, hasMonitors: boolean): { nodes: string[]; monitors: number; wasKnown: boolean };
  append(input: LogInput): Promise<AppendOutcome>;
  head(groupId: string): Promise<Position | null>;
  read(groupId: string, afterSeq: number, limit: number, forUserId?: string): Promise<LogPage>;
  backfill(groupId: string, position: Position, events: readonly GroupEvent[]): Promise<void>;
  /** Returns the id of the stored change. */
  'append-change'(change: MemberChange): string;
  /** From now on the worker is told of changes. Returns those that are kept, and since when that is all of them. */
  'follow-changes'(): { bornAt: number; changes: readonly BusChange[] };
  'set-presence'(groupId: string, userId: string, connections: number): void;
  'read-presence'(groupId: string): Map<string, number>;
  /** Takes out all users of the worker. */
  'drop-presence'(): void;
}

/** The calls of the bus to a worker. */
export interface WorkerCalls {
  message(channel: string, text: string): void;
  change(stored: BusChange): void;
}
