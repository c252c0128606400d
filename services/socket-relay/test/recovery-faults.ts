/** Stands among the texts where a page had a new session: it may have missed something before, and can know that. */
export const FRESH = 'a new session';

/** Messages that came twice or too early, or are missing although every connection in between was recovered. */
export function faultsOf(texts: readonly string[], groupId: string): string[] {
  let last = 0;
  let mayMiss = false;
  const faults: string[] = [];
  for (const text of texts) {
    if (text === FRESH) mayMiss = true;
    if (!text.startsWith(`${groupId}: `)) continue;
    const number = Number(text.slice(groupId.length + 2));
    if (mayMiss ? number <= last : number !== last + 1) faults.push(`${text} after ${last}`);
    last = number;
    mayMiss = false;
  }
  return faults;
}
