import type { Socket } from 'socket.io-client';

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

export interface Page {
  socket: Socket;
  /** Texts of messages after their groups, in the order in which they came. */
  texts: string[];
  /** Whether each of its connections was a recovery. */
  recovered: boolean[];
  /** How often it was told its groups: live events come from then on. */
  greetings: number;
}

/** Notes what the page of a stock client hears. `nameOf`: how a group is called in the texts. */
export function watchPage(socket: Socket, nameOf = (groupId: string): string => groupId): Page {
  const page: Page = { socket, texts: [], recovered: [], greetings: 0 };
  socket.on('joined-groups', () => (page.greetings += 1));
  socket.on('connect', () => {
    page.recovered.push(socket.recovered);
    if (!socket.recovered) page.texts.push(FRESH);
  });
  socket.on('new-message', ({ groupId, text }: { groupId: string; text: string }) =>
    page.texts.push(`${nameOf(groupId)}: ${text}`),
  );
  return page;
}
