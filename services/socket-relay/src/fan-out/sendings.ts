import type { Saying } from '@groupcast/dialects';
import { userRoom } from '@groupcast/shared';
import { hasSent, senderOf } from '../sessions/message-sender.ts';
import { isUserSocket } from '../sessions/session.ts';
import { isFor } from '../sessions/voices.ts';
import type { ConnectionWriter } from './connection-writer.ts';
import type { Sending } from './divide.ts';
import { type EncodedEvent, encodeEvent } from './encoded-event.ts';
import type { Part } from './parts.ts';
import type { Exceptions, WireEvent } from './sender.ts';

type Instead = ReadonlyMap<ConnectionWriter, EncodedEvent | undefined>;

/** Finds the writers of connections. */
export interface Writers {
  of(socketId: string): ConnectionWriter | undefined;
  inRoom(room: string): ConnectionWriter[];
}

/** Makes what the connections of a part are told of an event; `undefined` if their dialect has no name for it. */
export type MakeSendings = (
  part: Part,
  event: WireEvent,
  exceptions: Exceptions | undefined,
) => Sending<ConnectionWriter>[] | undefined;

/** Counts each encoding in `encoded`, by dialect. */
export function createSendings(writers: Writers, encoded: Record<string, number>): MakeSendings {
  function encode({ name, payload }: Saying, { voice: { dialect }, isRaw }: Part): EncodedEvent {
    encoded[dialect.name] = (encoded[dialect.name] ?? 0) + 1;
    return encodeEvent({ name, payload: payload as object }, isRaw);
  }

  function say({ name, payload }: WireEvent, { voice: { dialect, viewing } }: Part): readonly Saying[] | undefined {
    return dialect.say(name, payload, viewing);
  }

  /** The connections that do not get what the others get, and what each gets in its place. */
  function replacements(part: Part, { socketIds, instead }: Exceptions): Instead {
    const [saying] = (instead && say(instead, part)) ?? [];
    const event = saying && encode(saying, part);
    const replaced = new Map<ConnectionWriter, EncodedEvent | undefined>();
    for (const id of socketIds) {
      const writer = writers.of(id);
      if (writer) replaced.set(writer, event);
    }
    return replaced;
  }

  /** Leaves out the connection on which the message was sent. */
  function exceptSender(instead: Instead | undefined, message: Readonly<Record<string, unknown>>): Instead | undefined {
    const senderId = senderOf(message);
    const senders = senderId === undefined ? [] : writers.inRoom(userRoom(senderId));
    const left = senders.filter(({ socket }) => isUserSocket(socket) && hasSent(socket, message));
    return left.length === 0
      ? instead
      : new Map([...(instead ?? []), ...left.map((writer) => [writer, undefined] as const)]);
  }

  return (part, event, exceptions) => {
    const sayings = say(event, part);
    if (!sayings) return undefined;
    let instead = exceptions && replacements(part, exceptions);
    const sendings = sayings.map((saying): Sending<ConnectionWriter> => {
      const audience = saying.only ? part.audience.filter(({ socket }) => isFor(socket, saying)) : part.audience;
      const replaced = saying.exceptSender ? exceptSender(instead, { ...event.payload }) : instead;
      // They get the other event once.
      instead = instead && new Map([...instead.keys()].map((writer) => [writer, undefined]));
      return { event: encode(saying, part), audience, instead: replaced };
    });
    // Where the others are told nothing, the excepted ones may be.
    for (const [writer, other] of sendings.length === 0 && instead ? instead : []) {
      if (other && part.audience.includes(writer))
        sendings.push({ event: other, audience: [writer], instead: undefined });
    }
    return sendings;
  };
}
