import type { DeliveryExceptions, OutgoingEvent } from '../fan-out/fan-out.ts';

/** Brings events to this node, from a publisher that it serves or from another node, and hands them to the members in order. */
export interface GroupFeed {
  /** Whether an event that the log has accepted also comes to this node by the way on which it comes to others. */
  readonly comesBack: boolean;
  /** Takes an event that the log has accepted. Returns how many local connections it is for. */
  receive(groupId: string, event: OutgoingEvent, except?: DeliveryExceptions): number;
  /** From here on, every event of these groups comes to this node. Rejects with `BROKER_UNAVAILABLE`. */
  open(groupIds: readonly string[]): Promise<void>;
  /** Members came in while the log knew nothing of the group: its first event, whichever it is, is theirs. */
  beginsEmpty(groupId: string): void;
  /** Whether such members have not got that event yet. Members that come in after it wait until they have: `settle`. */
  awaitsBeginning(groupId: string): boolean;
  /** Brings the node to where the log is, if it is behind. Rejects with `BROKER_UNAVAILABLE`. */
  settle(groupId: string): Promise<void>;
  /** Brings the node to where the log is in every group, however long that takes. Returns false if its lease ended first. */
  settleAll(): Promise<boolean>;
  stop(): void;
}
