import { addressKey, isCookieTrusted, type Origins } from '@groupcast/service-kit';
import {
  type ConnectQuery,
  GroupcastError,
  INTERNAL_LIMITS,
  isJsonObject,
  type JsonObject,
  parseId,
  type UserClaims,
} from '@groupcast/shared';
import type { Notices } from '../monitor/notices.ts';
import type { RelaySocket } from '../sessions/session.ts';
import type { ApiClient } from '../upstream/api-client.ts';

/**
 * Asks the back end who a user is (`AUTH_BY=back-end`), and believes nothing that the client says. The claims count as issued when the
 * question was asked, so that what is removed or revoked meanwhile is later.
 */
export interface BackEndSignIn {
  connect(handshake: RelaySocket['handshake']): Promise<UserClaims>;
  /** Asks again for a live connection that brings a new token. */
  refresh(token: string | undefined, address: string): Promise<UserClaims>;
}

/** Fields of `auth` that are for the relay. The positions of a returning client may be large. */
const OWN_FIELDS: ReadonlySet<string> = new Set(['positions', 'notifications', 'type']);
const MAX_SHOWN_LENGTH = 64;
const MAX_ADDRESS_LENGTH = 64;

function tooLarge(what: string, max: string): GroupcastError {
  return new GroupcastError('PAYLOAD_TOO_LARGE', `unable to connect; ${what} may have ${max} at most`);
}

/** An item that is no id, for the log. One that is nested may be nested too deeply to be written. */
function shown(item: unknown): string {
  return typeof item === 'string' ? JSON.stringify(item.slice(0, MAX_SHOWN_LENGTH)) : typeof item;
}

function readAuth(auth: Readonly<Record<string, unknown>>): JsonObject {
  const handedOn = Object.fromEntries(Object.entries(auth).filter(([name]) => !OWN_FIELDS.has(name)));
  if (!isJsonObject(handedOn))
    throw new GroupcastError('INVALID_PAYLOAD', 'unable to connect; auth must be plain JSON');
  if (Buffer.byteLength(JSON.stringify(handedOn)) > INTERNAL_LIMITS.authBytes) {
    throw tooLarge('auth', `${INTERNAL_LIMITS.authBytes} bytes of JSON`);
  }
  return handedOn;
}

function readHeader(name: string, value: string | undefined): string | undefined {
  if (value !== undefined && value.length > INTERNAL_LIMITS.headerLength) {
    throw tooLarge(`the header ${name}`, `${INTERNAL_LIMITS.headerLength} characters`);
  }
  return value;
}

export function createBackEndSignIn(
  deps: { api: Pick<ApiClient, 'connect'>; notices: Notices },
  { origins }: { origins: Origins },
): BackEndSignIn {
  const { api, notices } = deps;

  function readGroups(userId: string, named: readonly unknown[]): string[] {
    const groups = new Set<string>();
    let left: string | undefined;
    for (const item of named) {
      const id = parseId(item);
      if (id === undefined) left ??= shown(item);
      else groups.add(id);
    }
    if (left !== undefined) {
      const message = `the back end names ${left} as a group of user "${userId}", no group id (1-128 characters of A-Z a-z 0-9 _ . : ~ -): left out`;
      notices({ topic: 'invalid groups', name: `${userId} ${left}`, code: 'INVALID_GROUP', message, userId });
    }
    return [...groups];
  }

  async function ask(query: ConnectQuery): Promise<UserClaims> {
    const issuedAt = Math.floor(Date.now() / 1_000);
    const { userId, groups = [], expiresAt } = await api.connect(query, addressKey(query.address));
    return { kind: 'user', userId, issuedAt, expiresAt, groups: readGroups(userId, groups), profile: {} };
  }

  return {
    async connect({ auth, headers, address }) {
      // A browser adds it to what a page of any site asks.
      const cookie = isCookieTrusted(origins, { headers, query: {} })
        ? readHeader('Cookie', headers.cookie)
        : undefined;
      const authorization = readHeader('Authorization', headers.authorization);
      const origin = readHeader('Origin', headers.origin);
      return ask({
        auth: readAuth(auth),
        ...(cookie === undefined ? {} : { cookie }),
        ...(authorization === undefined ? {} : { authorization }),
        ...(origin === undefined ? {} : { origin }),
        address: address.slice(0, MAX_ADDRESS_LENGTH),
      });
    },
    async refresh(token, address) {
      return ask({ auth: readAuth({ token: token ?? null }), address: address.slice(0, MAX_ADDRESS_LENGTH) });
    },
  };
}
