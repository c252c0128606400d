import type { ErrorBody, SessionEnding } from '@groupcast/shared';
import { received } from '@groupcast/testing';
import { openRawClient, type RawClient } from './raw-client.ts';
import { ask, type RelayUnderTest } from './relay-harness.ts';

type Answer = Record<string, unknown> | string;

/** A user's connection by one of the relay's two doors. */
export interface DoorClient {
  /** The refusal of the connection. */
  refusal(): Promise<ErrorBody>;
  /** The payload of `joined-groups`. */
  joined(): Promise<unknown>;
  /** The answer to an event, or the code it was refused with. */
  ask(event: string, payload?: object): Promise<Answer>;
  /** Sends an event and asks for no answer. */
  send(event: string, payload?: object): void;
  ending(): Promise<SessionEnding>;
  /** The code and reason with which its WebSocket was closed. */
  closed(): Promise<{ code: number; reason: string }>;
}

export interface DoorOptions {
  headers?: Record<string, string>;
  query?: Record<string, string>;
}

export interface Door {
  name: string;
  connect(relay: RelayUnderTest, auth: object, options?: DoorOptions): Promise<DoorClient>;
}

interface Closed {
  context?: { code: number; reason: string };
}

const socketIo: Door = {
  name: 'Socket.IO',
  async connect(relay, auth, { headers, query } = {}) {
    const options = { ...(headers ? { extraHeaders: headers } : {}), ...(query ? { query } : {}) };
    const socket = relay.client(auth, options);
    const closed = new Promise<{ code: number; reason: string }>((resolve) => {
      socket.once('disconnect', (_why, details) =>
        resolve((details as Closed | undefined)?.context ?? { code: 0, reason: '' }),
      );
    });
    const ending = received<SessionEnding>(socket, 'session-ending');
    // Most connections of a test do not end.
    ending.catch(() => undefined);
    const joined = received(socket, 'joined-groups');
    joined.catch(() => undefined);
    const refused = received<Error & { data: ErrorBody }>(socket, 'connect_error');
    refused.catch(() => undefined);
    return {
      refusal: async () => (await refused).data,
      joined: async () => joined,
      ask: async (event, payload) => ask(socket, event, payload),
      send: (event, payload) => void socket.emit(event, payload),
      ending: async () => ending,
      closed: async () => closed,
    };
  },
};

function without(...names: string[]): (frame: object) => object {
  return (frame) => Object.fromEntries(Object.entries(frame).filter(([name]) => !names.includes(name)));
}

const raw: Door = {
  name: 'raw WebSocket',
  async connect(relay, auth, { headers = {}, query } = {}) {
    const url = `${relay.url}/ws${query ? `?${new URLSearchParams(query).toString()}` : ''}`;
    const client: RawClient = await openRawClient(url, { headers });
    relay.cleanUp(client.close);
    client.send({ type: 'auth', ...auth });
    return {
      refusal: async () => without('type')(await client.frame('auth-error')) as ErrorBody,
      joined: async () => without('type')(await client.frame('joined-groups')),
      ask: client.ask,
      send: (type, fields) => client.send({ type, ...fields }),
      ending: async () => without('type')(await client.frame('session-ending')) as unknown as SessionEnding,
      closed: client.closed,
    };
  },
};

export const DOORS = [socketIo, raw] as const;
