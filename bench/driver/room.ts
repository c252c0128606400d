import { type OnFailure, openConnection, openInTurns } from './connection.ts';
import type { Dialect } from './dialect.ts';
import { DIALECTS, type DialectName } from './dialects.ts';
import { seqOf } from './frame-parser.ts';
import { messageOf, ROOM } from './messages.ts';

/** Members of one room, spread over the nodes of a server, and one publisher on the first of them. */
export interface Room {
  /** Publishes `count` messages in one write; `onComplete` is called as soon as every member has the last of them. */
  publish: (count: number, bytes: number, onComplete: (seq: number) => void) => void;
  /** Resolves once everything published was acknowledged. */
  settled: () => Promise<void>;
  /** Members who come later. Nothing may be published meanwhile. */
  add: (count: number) => Promise<void>;
}

/** More messages are never under way at once. */
const WINDOW = 65_536;

/**
 * Every delivery is checked: a member takes nothing but the position after its last one, so that a message which all members
 * have counted is one that each of them has, once, in its place. A fault goes to `onFailure`, as does a lost connection.
 */
export async function openRoom(options: {
  ports: readonly number[];
  dialect: DialectName;
  members: number;
  onFailure: OnFailure;
}): Promise<Room> {
  const { ports, onFailure } = options;
  let members = 0;
  const dialect: Dialect = DIALECTS[options.dialect];
  /** How many members have the message at each position, modulo the window. */
  const counts = new Uint32Array(WINDOW);
  const waiting = new Map<number, (seq: number) => void>();
  let head = 0;
  let acknowledged = 0;
  let onSettled = (): void => undefined;

  function counted(seq: number): void {
    const place = seq % WINDOW;
    const count = (counts[place] ?? 0) + 1;
    counts[place] = count;
    if (count < members) return;
    counts[place] = 0;
    const onComplete = waiting.get(seq);
    if (!onComplete) return;
    waiting.delete(seq);
    onComplete(seq);
  }

  async function join(n: number): Promise<void> {
    const port = ports[n % ports.length] ?? 0;
    const name = `member-${n}`;
    let last = 0;
    await openConnection({ port, dialect, role: 'member', name, room: ROOM, onFailure }, (bytes, start, end) => {
      const seq = seqOf(bytes, start, end);
      if (seq !== last + 1) onFailure(new Error(`${name} received ${seq} after ${last} of ${ROOM}`));
      last = seq;
      counted(seq);
    });
  }

  const publisher = await openConnection(
    { port: ports[0] ?? 0, dialect, role: 'publisher', name: 'publisher', room: ROOM, onFailure },
    () => onFailure(new Error('the publisher received a message')),
    (text) => {
      if (!dialect.isAcknowledgement(text)) return;
      acknowledged += 1;
      if (acknowledged === head) onSettled();
    },
  );
  async function add(count: number): Promise<void> {
    const before = members;
    members += count;
    await openInTurns(count, async (n) => join(before + n));
  }
  await add(options.members);

  return {
    add,
    publish(count, bytes, onComplete) {
      const texts: string[] = [];
      for (let n = 0; n < count; n += 1) {
        head += 1;
        texts.push(dialect.publish(messageOf(head, bytes), head));
      }
      waiting.set(head, onComplete);
      publisher.send(texts);
    },
    async settled() {
      if (acknowledged === head) return;
      await new Promise<void>((resolve) => {
        onSettled = resolve;
      });
    },
  };
}
