import { peek } from '../api/jwt.ts';
import { TOKEN_MARGIN_MS } from '../api/user-token.ts';
import type { Clock } from '../environment.ts';
import { ClientError } from '../errors.ts';

/** The relay's address and the token that it accepts. */
export interface Ticket {
  token: string;
  relayUrl: string;
  userId: string | undefined;
  /** When the token should be renewed, on the client's clock. */
  renewAt: number;
}

export interface ConnectionTokens {
  /** Answers a ticket that is good for 30 s more: the last one, if it is, so that a reconnect costs the API nothing. */
  get: () => Promise<Ticket>;
  /** Answers a new ticket in any case. */
  renew: () => Promise<Ticket>;
  /** The relay refused the last token. */
  drop: () => void;
  readonly userId: string | undefined;
}

/** Lifetime that is assumed of a token without `iat` and `exp`, in milliseconds. */
const UNKNOWN_LIFETIME_MS = 300_000;

export function createConnectionTokens(deps: {
  fetchToken: () => Promise<{ token: string; relayUrl: string }>;
  relayUrl: string | undefined;
  clock: Clock;
  random: () => number;
}): ConnectionTokens {
  const { clock, random } = deps;
  let last: { ticket: Ticket; endsAt: number } | undefined;
  let fetching: Promise<Ticket> | undefined;
  let userId: string | undefined;

  async function fetchTicket(): Promise<Ticket> {
    // The token lives from its issue, which is not before this moment.
    const askedAt = clock.now();
    const { token, relayUrl } = await deps.fetchToken();
    const { userId: found, lifetimeMs = UNKNOWN_LIFETIME_MS } = peek(token);
    if (userId !== undefined && found !== undefined && found !== userId) {
      throw new ClientError('FORBIDDEN', 'unable to connect; getToken answers another user’s token now');
    }
    userId ??= found;
    // A minute before its end, or after half of a short life. Up to a fifth earlier, so that clients which connected in one moment do
    // not renew in one moment.
    const latestMs = Math.max(lifetimeMs - 2 * TOKEN_MARGIN_MS, lifetimeMs / 2, 1_000);
    const renewAfterMs = latestMs * (1 - random() / 5);
    const ticket = { token, relayUrl: deps.relayUrl ?? relayUrl, userId, renewAt: askedAt + renewAfterMs };
    last = { ticket, endsAt: askedAt + lifetimeMs };
    return ticket;
  }

  function renew(): Promise<Ticket> {
    fetching ??= fetchTicket().finally(() => {
      fetching = undefined;
    });
    return fetching;
  }

  return {
    get userId() {
      return userId;
    },
    async get() {
      return last && last.endsAt - clock.now() > TOKEN_MARGIN_MS ? last.ticket : renew();
    },
    renew,
    drop() {
      last = undefined;
    },
  };
}
