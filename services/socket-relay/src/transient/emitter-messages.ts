import { EventEmitter } from 'node:events';
import { isJsonObject, type JsonObject } from '@groupcast/shared';
import { createAdapter } from '@socket.io/redis-adapter';

/** The channels on which emitters (`@socket.io/redis-emitter`, and those of other languages) publish for the namespace `/`. */
export const EMITTER_CHANNELS = 'socket.io#/#*';
/** The name that emitters give themselves. Servers of Socket.IO that share the Redis have others. */
const EMITTER = 'emitter';
/** Bytes at the beginning of a message that have the name of its sender, in every encoding. */
const NAME_WITHIN = 16;
const OPENING_BRACKET = 0x5b;
/** Most rooms that one message is for, and most that it leaves out. */
const MAX_ROOMS = 1_000;

/** An event that another process has emitted to rooms. */
export interface EmitterMessage {
  event: string;
  payload: JsonObject;
  rooms: string[];
  except: string[];
}

/** The adapter decodes what its emitters encode. Nothing else is asked of it: it is connected to nothing. */
function openParser(): (bytes: Buffer) => unknown {
  const inert = Object.assign(new EventEmitter(), { psubscribe: () => undefined, subscribe: () => undefined });
  const namespace = { name: '/', server: { encoder: undefined } };
  const { parser } = createAdapter(inert, inert)(namespace) as unknown as {
    parser: { decode: (bytes: Buffer) => unknown };
  };
  return (bytes) => parser.decode(bytes);
}

function names(value: unknown): string[] {
  if (!Array.isArray(value) || value.length > MAX_ROOMS || !value.every((name) => typeof name === 'string')) {
    throw new Error('its rooms are not a list of names');
  }
  return value;
}

/** Returns a reader of what emitters publish. It answers `undefined` to a message of anybody else, and throws at what no emitter says. */
export function createEmitterReader(): (bytes: Buffer) => EmitterMessage | undefined {
  const decode = openParser();
  return (bytes) => {
    // All that servers of another application tell each other passes here, and is not worth decoding.
    if (!bytes.subarray(0, NAME_WITHIN).includes(EMITTER)) return undefined;
    // An emitter may have been given a parser that writes JSON.
    const message = bytes[0] === OPENING_BRACKET ? (JSON.parse(bytes.toString()) as unknown) : decode(bytes);
    if (!Array.isArray(message)) throw new Error('not a message of an emitter');
    const [from, packet, options] = message as [unknown, { data?: unknown } | undefined, Record<string, unknown>];
    if (from !== EMITTER) return undefined;
    const data = packet?.data;
    if (!Array.isArray(data) || typeof data[0] !== 'string') throw new Error('not an event');
    if (data.length !== 2 || !isJsonObject(data[1])) throw new Error('an event has one argument, a plain JSON object');
    const { rooms, except = [] } = options ?? {};
    return { event: data[0], payload: data[1], rooms: names(rooms), except: names(except) };
  };
}
