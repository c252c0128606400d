import { isBefore, type Position } from '@groupcast/shared';

/** The highest position of each group, for the groups that were raised last. */
export interface LastPositions {
  /** Returns `null` for a group that it does not know, or no longer. */
  get(groupId: string): Position | null;
  /** Raises the position of the group. A lower position than the known one changes nothing. */
  raise(groupId: string, position: Position): void;
}

/** Holds at most `size` groups: the group that was quiet longest is forgotten first. */
export function createLastPositions(size: number): LastPositions {
  /** Positions by group, in the order of their last event. */
  const positions = new Map<string, Position>();
  return {
    get: (groupId) => positions.get(groupId) ?? null,
    raise(groupId, position) {
      const known = positions.get(groupId);
      positions.delete(groupId);
      positions.set(groupId, known && isBefore(position, known) ? known : position);
      if (positions.size <= size) return;
      const [quietest] = positions.keys();
      if (quietest !== undefined) positions.delete(quietest);
    },
  };
}
