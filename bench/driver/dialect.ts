import type { Message } from './messages.ts';

export type Role = 'member' | 'publisher';

/** How a connection reacts to a control message: it sends `reply`, and with `ready` it is in its room. */
export interface Reaction {
  reply?: string;
  ready?: boolean;
}

/** How members and a publisher speak with one kind of server, after the WebSocket upgrade. */
export interface Dialect {
  path(role: Role): string;
  subprotocol?: string;
  /** The credentials of a connection; built before it connects. */
  auth?(role: Role, name: string, room: string): Promise<string>;
  /** The first message after the upgrade. */
  greet?(role: Role, room: string, auth: string): string | undefined;
  /** A connection is in its room as soon as it is open. */
  readyWhenOpen?: boolean;
  /** Where one frame may hold several messages: calls `read` with each. */
  split?(bytes: Buffer, start: number, end: number, read: (bytes: Buffer, start: number, end: number) => void): void;
  /** Is this one of the messages that are counted? Asked for every one that comes. */
  isMessage(bytes: Buffer, start: number, end: number): boolean;
  /** Anything else that came, as text. */
  onControl(role: Role, text: string, auth: string, room: string): Reaction;
  publish(message: Message, n: number): string;
  /** One acknowledgement came for each text that was published; false where this is something else, throws where it was refused. */
  isAcknowledgement(text: string): boolean;
}

const DIGIT_2 = 0x32;
const DIGIT_4 = 0x34;
const LETTER_N = 0x6e;

/** `42["new-message"`: of all events that come here only this one begins with n. */
export function isNewMessage(bytes: Buffer, start: number): boolean {
  return bytes[start] === DIGIT_4 && bytes[start + 1] === DIGIT_2 && bytes[start + 4] === LETTER_N;
}
