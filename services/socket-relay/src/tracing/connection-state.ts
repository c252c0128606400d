import { otherSpellingsOf, type Position, type RecipientState } from '@groupcast/shared';
import type { Heartbeat } from '../engine/heartbeat.ts';
import { type Engine, unsentOn } from '../engine/wire.ts';
import type { Deliveries, Delivery } from '../fan-out/deliveries.ts';
import type { Sender } from '../fan-out/sender.ts';
import type { UserSocket } from '../sessions/session.ts';
import { dialectOf, voiceOf } from '../sessions/voices.ts';

/** How far an event is for one connection. `at`: milliseconds since the Unix epoch. */
export interface ConnectionState {
  state: RecipientState;
  why: string;
  fix?: string;
  code?: string;
  at?: number;
}

/** The event in question, as far as this node knows it: `delivery` is missing where it has not come here, or is forgotten. */
export interface Subject {
  groupId: string;
  position: Position | undefined;
  delivery: Delivery | undefined;
  /**
   * Set where there is no delivery: whether the event has gone by here, whether that was before those who are here now came, and why it is not
   * known, for people.
   */
  missing: { isBefore: boolean; hasPassed: boolean; why: string } | undefined;
}

const CAME_LATER: ConnectionState = {
  state: 'offline',
  why: 'it was not in the group when the event was sent, and came later; a page reads what was said before over HTTP',
  fix: 'let the page fetch the messages of the conversation when it connects',
};

/** Where an event is not for a connection, says why. */
function leftOutOf(socket: UserSocket, { groupId, event, except }: Delivery): ConnectionState | undefined {
  const { exceptSocketId, exceptUserId, wordless } = except;
  if (exceptSocketId === socket.id || exceptUserId === socket.data.session.userId) {
    return { state: 'refused', code: 'EXCEPTED', why: 'the publisher has left it out of this event' };
  }
  if (!wordless?.has(voiceOf(socket, groupId))) return undefined;
  return {
    state: 'refused',
    code: 'UNSAID_EVENT',
    why: `its dialect, "${dialectOf(socket).name}", has no word for "${event}"`,
    fix: 'give the event a name in the dialect (docs/dialects.md), if this page is to hear of it',
  };
}

/** How long bytes may wait for a connection that reads, in milliseconds. */
const BUSY_MS = 1_000;
/** How long a client of a live page takes to answer a ping at most, in milliseconds. */
const ANSWERS_WITHIN_MS = 5_000;

/** Bytes and packets that the connection's side has not taken. */
function unsentFor({ conn }: UserSocket): { packets: number; bytes: number } {
  const { writeBuffer, transport } = conn as unknown as Engine;
  const wire = transport.socket?._socket;
  return { packets: writeBuffer.length, bytes: wire ? unsentOn(wire) : 0 };
}

/** Tells how far an event is for one connection, by the two marks of the connection and the number of the event. */
export type StateOf = (socket: UserSocket, subject: Subject) => ConnectionState;

export function createStateOf(deps: {
  heartbeat: Pick<Heartbeat, 'provenOf' | 'unansweredMs'>;
  deliveries: Pick<Deliveries, 'recoveredAt'>;
  sender: Pick<Sender, 'handedUpTo'>;
  /** Milliseconds since the Unix epoch. */
  now?: () => number;
}): StateOf {
  const { heartbeat, deliveries, sender, now = Date.now } = deps;

  function notIn({ data: { session } }: UserSocket, groupId: string): ConnectionState {
    if (session.undecided.has(groupId)) {
      return {
        state: 'undecided',
        why: 'it is connected, and its token names the group; the API could not be asked yet whether it is a member',
        fix: 'see whether the API answers at API_URL: the relay asks it again by itself',
      };
    }
    const near = otherSpellingsOf(groupId).find((id) => session.groups.has(id));
    if (near !== undefined) {
      return {
        state: 'connected-not-joined',
        why: `it is connected, and not in this group: it is in "${near}", which is spelled nearly so`,
        fix: `publish to "${near}", or let the page join "${groupId}": an id is used as it is, everywhere`,
      };
    }
    return {
      state: 'connected-not-joined',
      why: 'it is connected, and not in the group',
      fix: 'let the page emit join-group, or name the group in its token; compare the id of the group letter by letter',
    };
  }

  /** The event was handed to the connection as the delivery `number`. */
  function byNumber(socket: UserSocket, number: number, at: number | undefined): ConnectionState {
    const proven = heartbeat.provenOf(socket);
    const when = at === undefined ? {} : { at };
    if (proven.upTo >= number) {
      return { state: 'proven', why: 'its client has answered a ping that was written behind the event', ...when };
    }
    if (sender.handedUpTo(socket).upTo < number) {
      return { state: 'pending', why: 'it waits for its turn to be written to the connection', ...when };
    }
    const { packets, bytes } = unsentFor(socket);
    if (packets + bytes > 0) {
      const isSlow = at !== undefined && now() - at > BUSY_MS;
      const waits = bytes > 0 ? `${bytes} bytes wait for it` : `${packets} packets wait for its next poll`;
      return isSlow
        ? {
            state: 'slow-consumer',
            why: `its connection does not read what is written to it: ${waits}`,
            fix: 'nothing on the server: the network of this user is slow or gone. It is cut when too much waits, and comes back by itself',
            ...when,
          }
        : { state: 'pending', why: `its connection is busy: ${waits}`, ...when };
    }
    const silentMs = heartbeat.unansweredMs(socket);
    if (silentMs > ANSWERS_WITHIN_MS) {
      return {
        state: 'written',
        why: `it was written to the connection; a ping has not been answered for ${Math.round(silentMs / 1_000)} s`,
        fix: 'the page is frozen (a background tab, a sleeping phone), or the network is gone without a word; it is closed soon, and comes back by itself',
        ...when,
      };
    }
    return { state: 'written', why: 'it was written to the connection, which has not answered a ping since', ...when };
  }

  return (socket, { groupId, position, delivery, missing }) => {
    const place = socket.data.session.groups.get(groupId);
    if (!place) return notIn(socket, groupId);
    const leftOut = delivery && leftOutOf(socket, delivery);
    if (leftOut) return leftOut;
    if (delivery && delivery.number > place.since) return byNumber(socket, delivery.number, delivery.at);
    const recovered = position && deliveries.recoveredAt(socket.id, groupId, position);
    if (recovered !== undefined) return byNumber(socket, recovered, undefined);
    if (!Number.isFinite(place.since)) return { state: 'pending', why: 'it is being brought into the group' };
    return delivery || missing?.isBefore ? CAME_LATER : { state: 'pending', why: missing?.why ?? '' };
  };
}
