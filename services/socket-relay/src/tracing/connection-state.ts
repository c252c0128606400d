import type { RecipientState } from '@groupcast/shared';
import type { Heartbeat } from '../engine/heartbeat.ts';
import { type Engine, unsentOn } from '../engine/wire.ts';
import type { Deliveries, Delivery } from '../fan-out/deliveries.ts';
import type { Sender } from '../fan-out/sender.ts';
import type { UserSocket } from '../sessions/session.ts';

/** How far an event is for one connection. `at`: milliseconds since the Unix epoch. */
export interface ConnectionState {
  state: RecipientState;
  why: string;
  fix?: string;
  at?: number;
}

/** The event in question, as far as this node knows it: `delivery` is missing where it has not come here, or is forgotten. */
export interface Subject {
  groupId: string;
  seq: number | undefined;
  delivery: Delivery | undefined;
  /** Tells, for people, why there is no delivery. */
  missing: string;
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

  return (socket, { groupId, seq, delivery, missing }) => {
    const place = socket.data.session.groups.get(groupId);
    if (!place) return notIn(socket, groupId);
    const recovered = seq === undefined ? undefined : deliveries.recoveredAt(socket.id, groupId, seq);
    if (recovered !== undefined) return byNumber(socket, recovered, undefined);
    if (!Number.isFinite(place.since)) return { state: 'pending', why: 'it is being brought into the group' };
    if (!delivery) return { state: 'pending', why: missing };
    if (delivery.number <= place.since) {
      return {
        state: 'offline',
        why: 'it was not in the group when the event was sent, and came later; a page reads what was said before over HTTP',
        fix: 'let the page fetch the messages of the conversation when it connects',
      };
    }
    return byNumber(socket, delivery.number, delivery.at);
  };
}
