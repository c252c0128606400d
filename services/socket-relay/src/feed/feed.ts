import type { DeliveryExceptions, OutgoingEvent } from '../fan-out/fan-out.ts';

/** Where events come to this node, from a publisher that it serves or from another node, and go to the members in order. */
export interface GroupFeed {
  /** An event that has its place. Answers for how many local connections it is. */
  receive(groupId: string, event: OutgoingEvent, except?: DeliveryExceptions): number;
  /** From here on, whatever happens in these groups comes to this node. Rejects with `BROKER_UNAVAILABLE`. */
  open(groupIds: readonly string[]): Promise<void>;
  /** Members came in while the log knew nothing of the group: its first event, whichever it is, is theirs. */
  beginsEmpty(groupId: string): void;
  /** Such members have not got that event yet. Whoever else comes in after it waits until they have: `settle`. */
  awaitsBeginning(groupId: string): boolean;
  /** Brings the node to where the log is, if it is behind. Rejects with `BROKER_UNAVAILABLE`. */
  settle(groupId: string): Promise<void>;
  /** Brings the node to where the log is in every group, however long that takes. Answers false where its lease ended first. */
  settleAll(): Promise<boolean>;
  stop(): void;
}
