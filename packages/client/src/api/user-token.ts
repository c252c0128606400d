import type { Clock } from '../environment.ts';
import { ClientError } from '../errors.ts';
import { peek } from './jwt.ts';

/** Answers the user's token for the API; `null` or an empty string means that no user is logged in. */
export type GetToken = () => Promise<string | null> | string | null;

/** Remaining lifetime below which a token is no longer used, in milliseconds. */
export const TOKEN_MARGIN_MS = 30_000;
/** How long the application may take to answer, in milliseconds; then it is asked again. */
const ASK_TIMEOUT_MS = 30_000;

export interface UserTokens {
  /** The application's token, asked for again shortly before it expires. Concurrent calls share one question. */
  get: () => Promise<string>;
  /** The API refused the token: the next `get` asks the application for another one. */
  refuse: (token: string) => void;
  readonly userId: string | undefined;
}

export function createUserTokens(getToken: GetToken, clock: Clock): UserTokens {
  let current: { token: string; staleAt: number } | undefined;
  let asking: Promise<string> | undefined;
  let userId: string | undefined;

  async function ask(): Promise<string> {
    let token: string | null;
    try {
      token = await inTime(Promise.resolve().then(getToken));
    } catch (cause) {
      throw new ClientError('TOKEN_UNAVAILABLE', 'unable to get a user token; getToken failed', {
        retryable: true,
        cause,
      });
    }
    if (!token) throw new ClientError('TOKEN_MISSING', 'unable to get a user token; nobody is logged in');
    const { lifetimeMs, userId: found } = peek(token);
    userId = found ?? userId;
    // The token may have been issued earlier: then it is refused, and another one is asked for. Opaque tokens are kept until then.
    const usableMs =
      lifetimeMs === undefined ? Number.POSITIVE_INFINITY : Math.max(lifetimeMs - TOKEN_MARGIN_MS, lifetimeMs / 2);
    current = { token, staleAt: clock.now() + usableMs };
    return token;
  }

  async function inTime<T>(answer: Promise<T>): Promise<T> {
    let timer: unknown;
    const timeout = new Promise<never>((_, reject) => {
      timer = clock.setTimeout(() => reject(new Error('getToken did not answer in time')), ASK_TIMEOUT_MS);
    });
    return Promise.race([answer, timeout]).finally(() => clock.clearTimeout(timer));
  }

  return {
    get userId() {
      return userId;
    },
    async get() {
      if (current && clock.now() < current.staleAt) return current.token;
      asking ??= ask().finally(() => {
        asking = undefined;
      });
      return asking;
    },
    refuse(token) {
      if (current?.token === token) current = undefined;
    },
  };
}
