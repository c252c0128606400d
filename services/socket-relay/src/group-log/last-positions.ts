import { isBefore, type Position } from '@groupcast/shared';

/** The highest position of each group, of the groups it was told about last. */
export interface LastPositions {
  /** `null` for a group it does not know, or no longer. */
  get(groupId: string): Position | null;
  /** A lower position than the one it knows changes nothing. */
  raise(groupId: string, position: Position): void;
}

/** At most `size` groups: the one that was quiet longest is forgotten first. */
export function createLastPositions(size: number): LastPositions {
  /** In the order of their last event. */
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
