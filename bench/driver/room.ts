import { DIALECTS, type Dialect, type DialectName } from './dialects.ts';
import { seqOf } from './frame-parser.ts';
import { messageOf, ROOM } from './messages.ts';
import { openWebSocket, type RawWebSocket } from './web-socket.ts';

/** Members of one room, spread over the nodes of a server, and one publisher on the first of them. */
export interface Room {
  /** Publishes `count` messages in one write; `onComplete` is called as soon as every member has the last of them. */
  publish: (count: number, bytes: number, onComplete: (seq: number) => void) => void;
  /** Resolves once everything published was acknowledged. */
  settled: () => Promise<void>;
  close(): void;
}

/** More messages are never under way at once. */
const WINDOW = 65_536;
/** A listener's queue is short: connections are made a few at a time. */
const CONNECTS_AT_ONCE = 64;

async function openConnection(
  options: { port: number; dialect: Dialect; role: 'member' | 'publisher'; name: string; onFailure: OnFailure },
  onMessage: (bytes: Buffer, start: number, end: number) => void,
  onControl: (text: string) => void = () => undefined,
): Promise<RawWebSocket> {
  const { port, dialect, role, name, onFailure } = options;
  const auth = await dialect.auth(role, name);
  return new Promise((resolve, reject) => {
    let isReady = false;
    let socket: RawWebSocket | undefined;
    const fail = (error: Error): void => {
      reject(error);
      onFailure(error);
    };
    const control = (text: string): void => {
      const { reply, ready } = dialect.onControl(role, text, auth);
      if (reply !== undefined) socket?.send([reply]);
      if (ready && !isReady) {
        isReady = true;
        if (socket) resolve(socket);
      }
      onControl(text);
    };
    /** What came with the upgrade's answer waits for the socket. */
    const early: string[] = [];
    openWebSocket({
      port,
      path: dialect.path,
      ...(dialect.subprotocol === undefined ? {} : { subprotocol: dialect.subprotocol }),
      onText(bytes, start, end) {
        if (dialect.isMessage(bytes, start, end)) onMessage(bytes, start, end);
        else if (socket) control(bytes.toString('utf8', start, end));
        else early.push(bytes.toString('utf8', start, end));
      },
      onClose: fail,
    }).then((opened) => {
      socket = opened;
      const greeting = dialect.greet?.(role, auth);
      if (greeting !== undefined) opened.send([greeting]);
      early.forEach(control);
    }, fail);
  });
}

type OnFailure = (error: Error) => void;

/**
 * Every delivery is checked: a member takes nothing but the position after its last one, so that a message which all members
 * have counted is one that each of them has, once, in its place. What is wrong goes to `onFailure`, as does a lost connection.
 */
export async function openRoom(options: {
  ports: readonly number[];
  dialect: DialectName;
  members: number;
  onFailure: OnFailure;
}): Promise<Room> {
  const { ports, members, onFailure } = options;
  const dialect: Dialect = DIALECTS[options.dialect];
  /** How many members have the message at each position, modulo the window. */
  const counts = new Uint32Array(WINDOW);
  const waiting = new Map<number, (seq: number) => void>();
  const sockets: RawWebSocket[] = [];
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
    const member = await openConnection({ port, dialect, role: 'member', name, onFailure }, (bytes, start, end) => {
      const seq = seqOf(bytes, start, end);
      if (seq !== last + 1) onFailure(new Error(`${name} received ${seq} after ${last} of ${ROOM}`));
      last = seq;
      counted(seq);
    });
    sockets.push(member);
  }

  const publisher = await openConnection(
    { port: ports[0] ?? 0, dialect, role: 'publisher', name: 'publisher', onFailure },
    () => onFailure(new Error('the publisher received a message')),
    (text) => {
      if (!dialect.isAcknowledgement(text)) return;
      acknowledged += 1;
      if (acknowledged === head) onSettled();
    },
  );
  sockets.push(publisher);
  for (let from = 0; from < members; from += CONNECTS_AT_ONCE) {
    const some = Array.from({ length: Math.min(CONNECTS_AT_ONCE, members - from) }, async (_, n) => join(from + n));
    await Promise.all(some);
  }

  return {
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
    close() {
      for (const socket of sockets) socket.close();
    },
  };
}
