/** The last broadcasts that this node took from their publishers. `at`: milliseconds since the Unix epoch. */
export interface Acceptances {
  note(groupId: string, id: string, nodes: number): void;
  of(groupId: string, id: string): { at: number; nodes: number } | undefined;
}

const MAX = 8_192;

export function createAcceptances(now: () => number = Date.now): Acceptances {
  let newer = new Map<string, { at: number; nodes: number }>();
  let older = newer;
  const keyOf = (groupId: string, id: string): string => `${groupId}\n${id}`;
  return {
    note(groupId, id, nodes) {
      if (newer.size >= MAX) {
        older = newer;
        newer = new Map();
      }
      newer.set(keyOf(groupId, id), { at: now(), nodes });
    },
    of: (groupId, id) => newer.get(keyOf(groupId, id)) ?? older.get(keyOf(groupId, id)),
  };
}
