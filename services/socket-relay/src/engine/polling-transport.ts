import type { IncomingMessage } from 'node:http';
import { transports } from 'engine.io';
import { TOO_MANY_PACKETS } from './packet-decoder.ts';
import { type BodyLimit, countBody, isBodyTooLarge } from './polling-body.ts';
import { replaceTransport } from './replace-transport.ts';
import type { Holder } from './unfinished.ts';

/** Most packets in one payload: a client that was slow for a moment sends some together. */
export const MAX_PACKETS_PER_PAYLOAD = 256;
/** How long a closed session waits for the poll that its client may still send, in milliseconds. */
const CLOSE_TIMEOUT_MS = 5_000;
const SEPARATOR = 0x1e;

/** Fields of Engine.IO's polling transport that have no public name. */
interface PollingInternals extends Holder {
  closeTimeout: number;
  /** Most packets in one payload; without it `MAX_PACKETS_PER_PAYLOAD`. */
  maxPackets?: number;
  /** The limit of a payload, set until the connection has authenticated. */
  bodyLimit?: BodyLimit | undefined;
  /** The POST whose body is being read. */
  dataReq?: IncomingMessage | null;
  onError(why: string): void;
  onData(payload: string): void;
  onRequest(request: Request): void;
  onPacket(packet: { type: 'message'; data: unknown }): void;
}
type Request = IncomingMessage & { _query: Readonly<Record<string, unknown>> };
type MakePolling = new (request: Request) => PollingInternals;

/** Whether a payload of Engine.IO's protocol 4 holds more packets than `max`. */
export function hasMorePacketsThan(payload: string, max: number): boolean {
  let count = 1;
  for (let index = 0; index < payload.length; index += 1) {
    if (payload.charCodeAt(index) !== SEPARATOR) continue;
    count += 1;
    if (count > max) return true;
  }
  return false;
}

/**
 * Engine.IO's long polling, with payloads whose packets are counted before they are decoded. The decoder of the connection is told of a
 * payload with too many packets in place of its packets, and refuses it. JSONP, which no client of protocol 4 uses, is refused: a script
 * tag sends no `Origin`.
 */
export function attachBoundedPolling(engine: unknown): void {
  const stock = transports.polling as unknown as MakePolling;
  let prototype: PollingInternals | undefined;

  function prototypeOn(transport: PollingInternals): PollingInternals {
    const parent = Object.getPrototypeOf(transport) as PollingInternals;
    const child = Object.create(parent) as PollingInternals;
    child.onData = function onData(this: PollingInternals, payload: string): void {
      if (hasMorePacketsThan(payload, this.maxPackets ?? MAX_PACKETS_PER_PAYLOAD)) {
        this.onPacket({ type: 'message', data: TOO_MANY_PACKETS });
      } else parent.onData.call(this, payload);
    };
    child.onRequest = function onRequest(this: PollingInternals, request: Request): void {
      const { bodyLimit } = this;
      if (request.method === 'POST' && bodyLimit) {
        if (isBodyTooLarge(request, bodyLimit)) return;
        countBody(request, bodyLimit, this);
      }
      parent.onRequest.call(this, request);
    };
    child.cutUnfinished = function cutUnfinished(this: PollingInternals): void {
      this.onError('others need the room of its payload');
      // A session that is closing already keeps its request.
      this.dataReq?.destroy();
    };
    return child;
  }

  replaceTransport(engine, 'polling', (request: Request) => {
    if (request._query['j'] !== undefined) throw new Error('JSONP is not supported');
    const transport = new stock(request);
    prototype ??= prototypeOn(transport);
    Object.setPrototypeOf(transport, prototype);
    transport.closeTimeout = CLOSE_TIMEOUT_MS;
    return transport;
  });
}

/** Sets the size that a payload may have until `allowPackets`: a larger one is refused unread. `onTooLarge` ends the connection. */
export function allowBody({ transport }: { transport: unknown }, limit: BodyLimit): void {
  if (isPolling(transport)) transport.bodyLimit = limit;
}

/** Sets the number of packets that a payload may have from now on, for a connection that has authenticated. */
export function allowPackets({ transport }: { transport: unknown }, max: number): void {
  if (isPolling(transport)) Object.assign(transport, { maxPackets: max, bodyLimit: undefined });
}

function isPolling(transport: unknown): transport is PollingInternals {
  return (transport as { name?: string }).name === 'polling';
}
