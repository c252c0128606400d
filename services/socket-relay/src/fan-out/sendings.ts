import type { Saying } from '@groupcast/dialects';
import { userRoom } from '@groupcast/shared';
import type { Marks } from '../sessions/marks.ts';
import { hasSent, senderOf } from '../sessions/message-sender.ts';
import type { Offsets } from '../sessions/offsets.ts';
import { argumentsAfter, offsetOf } from '../sessions/tell.ts';
import { isFor } from '../sessions/voices.ts';
import type { ConnectionWriter } from './connection-writer.ts';
import type { Sending } from './divide.ts';
import { type EncodedEvent, encodeEvent } from './encoded-event.ts';
import type { Part } from './parts.ts';
import type { Exceptions, WireEvent } from './sender.ts';

const NOBODY: readonly ConnectionWriter[] = [];

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
export function createSendings(
  writers: Writers,
  encoded: Record<string, number>,
  { marks, offsets }: { marks: Pick<Marks, 'last'>; offsets: Pick<Offsets, 'at'> },
): MakeSendings {
  function encode({ name, payload }: Saying, { voice: { dialect }, isRaw }: Part, offset?: string): EncodedEvent {
    encoded[dialect.name] = (encoded[dialect.name] ?? 0) + 1;
    const extra = dialect.recovers && !isRaw ? argumentsAfter(payload, offset) : [];
    return encodeEvent({ name, payload: payload as object }, isRaw, marks.last, extra);
  }

  function say({ name, payload }: WireEvent, { voice: { dialect, viewing } }: Part): readonly Saying[] | undefined {
    return dialect.say(name, payload, viewing);
  }

  /** The writers of the connections that are left out; some may be of another part. */
  function exceptedOf({ socketIds }: Exceptions): ConnectionWriter[] {
    return socketIds.map((id) => writers.of(id)).filter((writer) => writer !== undefined);
  }

  /** The writers of the connections on which the message was sent. */
  function sendersOf(message: Readonly<Record<string, unknown>>): ConnectionWriter[] {
    const senderId = senderOf(message);
    const ofUser = senderId === undefined ? [] : writers.inRoom(userRoom(senderId));
    return ofUser.filter(({ socket }) => hasSent(socket, message));
  }

  function sendTo(
    part: Part,
    {
      saying,
      audience,
      left,
      offset,
    }: {
      saying: Saying;
      audience: readonly ConnectionWriter[];
      left: readonly ConnectionWriter[];
      offset?: string | undefined;
    },
  ): Sending<ConnectionWriter> {
    const told = saying.only ? audience.filter(({ socket }) => isFor(socket, saying)) : audience;
    const instead = left.length > 0 ? new Map(left.map((writer) => [writer, undefined] as const)) : undefined;
    return { event: encode(saying, part, offset), audience: told, instead };
  }

  return (part, event, exceptions) => {
    const sayings = say(event, part);
    if (!sayings) return undefined;
    const excepted = exceptions ? exceptedOf(exceptions) : NOBODY;
    const hasOffset = part.voice.dialect.recovers && event.number !== undefined;
    const whole = hasOffset ? offsets.at(event.number ?? 0, event.place) : undefined;
    const sendings = sayings.map((saying, index) => {
      const left = saying.exceptSender ? [...excepted, ...sendersOf({ ...event.payload })] : excepted;
      return sendTo(part, { saying, audience: part.audience, left, offset: whole && offsetOf(sayings, index, whole) });
    });
    if (!exceptions?.instead || excepted.length === 0) return sendings;
    // Of a large room most may be left out: they are looked up, and not looked for.
    const left = new Set(excepted);
    const audience = part.audience.filter((writer) => left.has(writer));
    for (const saying of audience.length > 0 ? (say(exceptions.instead, part) ?? []) : []) {
      sendings.push(sendTo(part, { saying, audience, left: NOBODY }));
    }
    return sendings;
  };
}
