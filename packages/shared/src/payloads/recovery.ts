import type { ErrorBody } from '../errors.ts';
import type { Position } from '../positions.ts';
import type { GroupEvent } from './messaging.ts';

/** The events after the position that a member asked from: all of them, or a part with `more`. */
export interface RecoveryResult {
  /** `events` is everything between the position asked from and `position`. False: read the API's `/events`. */
  recovered: boolean;
  /** Once `more` is false, the first live event is `position.seq + 1`; `null` while the relay does not know the group. */
  position: Position | null;
  events: GroupEvent[];
  /** Ask again from `position`; the group is live only after an answer with `more: false`. */
  more: boolean;
}

export interface JoinGroupResult extends RecoveryResult {
  groupId: string;
}

/** Answers by group; a group that could not be joined has its error instead. */
export interface ResumeResult {
  groups: Record<string, RecoveryResult | { error: ErrorBody }>;
}

/** The position of a group; `skipId` is the id of the event at that position, where it was not for this connection. */
export interface GroupHead {
  groupId: string;
  epoch: string;
  seq: number;
  skipId?: string;
}

export interface GroupPosition {
  groupId: string;
  position: Position | null;
}
