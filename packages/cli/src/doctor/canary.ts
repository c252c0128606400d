import { randomUUID } from 'node:crypto';
import type { TokenPlace } from '@groupcast/service-kit';
import type { Patient } from './patient.ts';
import { type Client, connect, NoConnection, type Transport } from './sockets.ts';

/** The users of the canary: they are the same in every walk, so that an API that notes whom it has seen notes two. */
export const CANARY_USERS = ['groupcast-doctor-1', 'groupcast-doctor-2'] as const;
/** The text of a canary. It takes more than one packet on any wire: small ones may get through where larger ones do not. */
const CONTENT = 'canary '.repeat(300);
/** Longest wait until the relay has put a client into the group that its token names, in milliseconds. Then a back end puts it there. */
const JOIN_MS = 400;
/** Longest wait for the word that a back end's addition has reached the client, in milliseconds. */
const ADDED_MS = 1_500;
/** How long a connection has to show that it lives, in milliseconds, once a canary was lost. */
const SIGN_OF_LIFE_MS = 1_500;

/** A client that waits for canaries: a user or, where no user's token can be had, a monitor. */
export interface Listener {
  readonly userId: string | undefined;
  /** Resolves whether the canary of this id has come in time. */
  heard(id: string, ms: number): Promise<boolean>;
  /** Whether the connection still answers, once something was lost on it. */
  isAlive(): Promise<boolean>;
  close(): void;
}

/** A client is connected, and the relay did not put it into its group. */
export class NotJoined extends Error {
  override readonly name = 'NotJoined';
}

/** The relay did not take the broadcast. `code` is its own; without one nothing was answered. */
export class NotTaken extends Error {
  override readonly name = 'NotTaken';
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

interface Ack {
  ok?: boolean;
  error?: { code?: string; message?: string };
  [field: string]: unknown;
}

/** Asks as a back end does. Throws `NotTaken` with the relay's reason. */
export async function command(publisher: Client, event: string, payload: unknown, ms: number): Promise<Ack> {
  const ack = await publisher.call(event, payload, ms).then(
    (answer) => answer as Ack,
    () => {
      throw new NotTaken(`no answer to ${event} within ${ms} ms`, undefined);
    },
  );
  if (ack.ok === true) return ack;
  throw new NotTaken(ack.error?.message ?? `${event} was refused`, ack.error?.code);
}

/**
 * Puts a user into the group and waits until the client is told so: what is said before is not for it. A relay that has just started asks
 * the API about every claim of a token, and the API does not know this group; then a back end puts the user there. Throws `NotTaken` and `NotJoined`.
 */
export async function join(
  client: { heard(text: string, ms: number): Promise<unknown> },
  userId: string,
  { groupId, publisher, timeoutMs }: { groupId: string; publisher: Client; timeoutMs: number },
): Promise<void> {
  if (await client.heard(groupId, JOIN_MS)) return;
  await command(publisher, 'api-add-members', { groupId, userIds: [userId] }, timeoutMs).catch((error: NotTaken) => {
    throw error.code === 'BROKER_UNAVAILABLE' ? error : new NotJoined(error.message);
  });
  await client.heard(groupId, ADDED_MS);
}

/** The token in each place in which the relay looks for one. */
export function credentials(
  token: string,
  places: readonly TokenPlace[],
): { auth: Record<string, string>; headers: Record<string, string> } {
  const headers: Record<string, string> = {};
  for (const place of places) {
    if (place.kind === 'header') headers['authorization'] = `Bearer ${token}`;
    if (place.kind === 'cookie') headers['cookie'] = `${place.name}=${token}`;
  }
  return { auth: places.some(({ kind }) => kind === 'auth') ? { token } : {}, headers };
}

/** The group of one walk, which nobody else is in. */
export interface Cage {
  readonly groupId: string;
  /** Opens the connection of a back end. Throws `NoConnection`. */
  publisher(url: string): Promise<Client>;
  /** Opens the connection of the n-th listener and waits until it is in the group. Throws `NoConnection` and `NotJoined`. */
  listener(n: 0 | 1, at: { url: string; transport: Transport; publisher: Client }): Promise<Listener>;
  /** Sends a canary and returns its id once the relay has taken it. Throws `NotTaken`. */
  release(publisher: Client): Promise<string>;
}

export function createCage(patient: Patient, { useUsers }: { useUsers: boolean }): Cage {
  const { timeoutMs, users } = patient;
  const groupId = `groupcast-doctor-${randomUUID().slice(0, 13)}`;

  async function serviceAuth(type: 'api' | 'monitor'): Promise<Record<string, unknown>> {
    const token = await patient.serviceToken('relay', [type === 'api' ? 'broadcast' : 'monitor']);
    return { type, token };
  }

  /** A service token opens either kind of connection, whichever transport gets through. */
  async function asService(url: string, type: 'api' | 'monitor', transports: readonly Transport[]): Promise<Client> {
    const auth = await serviceAuth(type);
    let problem: unknown;
    for (const transport of transports) {
      try {
        return await connect({ url, transport, auth }, timeoutMs);
      } catch (error) {
        problem = error;
        if (error instanceof NoConnection && error.code !== undefined) break;
      }
    }
    throw problem;
  }

  return {
    groupId,
    publisher: async (url) => asService(url, 'api', ['websocket', 'polling']),
    async listener(n, { url, transport, publisher }) {
      if (!users || !useUsers) {
        const monitor = await asService(url, 'monitor', [transport]);
        return {
          userId: undefined,
          heard: async (id, ms) => (await monitor.heard(id, ms)) !== undefined,
          // A monitor is told of everything, its own connection among it, so a silent one has not been heard of since.
          isAlive: async () =>
            monitor.call('refresh-token', await serviceAuth('monitor'), SIGN_OF_LIFE_MS).then(
              () => true,
              () => false,
            ),
          close: () => monitor.close(),
        };
      }
      const userId = CANARY_USERS[n];
      const { auth, headers } = credentials(await users.sign(userId, [groupId]), users.places);
      const client = await connect({ url, transport, auth, headers }, timeoutMs);
      try {
        await join(client, userId, { groupId, publisher, timeoutMs });
      } catch (error) {
        client.close();
        throw error;
      }
      return {
        userId,
        heard: async (id, ms) => (await client.heard(id, ms)) !== undefined,
        isAlive: async () =>
          client.call('get-presence', { groupId }, SIGN_OF_LIFE_MS).then(
            () => true,
            () => false,
          ),
        close: () => client.close(),
      };
    },
    async release(publisher) {
      const id = `canary-${randomUUID()}`;
      const send = async (content: string): Promise<unknown> => {
        const message = { id, clientMessageId: id, senderId: 'groupcast-doctor', content };
        return command(publisher, 'api-broadcast-message', { groupId, id, message }, timeoutMs);
      };
      await send(CONTENT).catch(async (error: NotTaken) => {
        if (error.code !== 'PAYLOAD_TOO_LARGE') throw error;
        await send('canary');
      });
      return id;
    },
  };
}
