import type { Dialect, Role } from './dialect.ts';
import { openWebSocket, type RawWebSocket } from './web-socket.ts';

export type OnFailure = (error: Error) => void;

/** A listener's queue is short: connections are made a few at a time. */
const CONNECTS_AT_ONCE = 64;

export async function openInTurns(count: number, open: (n: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < count; from += CONNECTS_AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(CONNECTS_AT_ONCE, count - from) }, async (_, n) => open(from + n)));
  }
}

/** Resolves once the connection is in its room. Anything it hears from then on goes to `onControl`, if it is no message. */
export async function openConnection(
  options: {
    port: number;
    dialect: Dialect;
    role: Role;
    name: string;
    room: string;
    onFailure: OnFailure;
  },
  onMessage: (bytes: Buffer, start: number, end: number) => void,
  onControl: (text: string) => void = () => undefined,
): Promise<RawWebSocket> {
  const { port, dialect, role, name, room, onFailure } = options;
  const auth = (await dialect.auth?.(role, name, room)) ?? '';
  return new Promise((resolve, reject) => {
    let isReady = false;
    let socket: RawWebSocket | undefined;
    const fail = (error: Error): void => {
      reject(error);
      onFailure(error);
    };
    const becomeReady = (): void => {
      isReady = true;
      if (socket) resolve(socket);
    };
    const control = (text: string): void => {
      const { reply, ready } = dialect.onControl(role, text, auth, room);
      if (reply !== undefined) socket?.send([reply]);
      if (isReady) onControl(text);
      else if (ready) becomeReady();
    };
    /** Bytes that came with the upgrade's answer wait for the socket. */
    const early: string[] = [];
    const read = (bytes: Buffer, start: number, end: number): void => {
      if (dialect.isMessage(bytes, start, end)) onMessage(bytes, start, end);
      else if (socket) control(bytes.toString('utf8', start, end));
      else early.push(bytes.toString('utf8', start, end));
    };
    openWebSocket({
      port,
      path: dialect.path(role),
      ...(dialect.subprotocol === undefined ? {} : { subprotocol: dialect.subprotocol }),
      onText: dialect.split ? (bytes, start, end) => dialect.split?.(bytes, start, end, read) : read,
      onClose: fail,
    }).then((opened) => {
      socket = opened;
      const greeting = dialect.greet?.(role, room, auth);
      if (greeting !== undefined) opened.send([greeting]);
      if (dialect.readyWhenOpen) becomeReady();
      early.forEach(control);
    }, fail);
  });
}
