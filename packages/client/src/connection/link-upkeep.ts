import { type Clock, type Logger, MAX_DELAY_MS, millisecondsSince } from '../environment.ts';
import { type ClientError, toClientError } from '../errors.ts';
import type { ConnectionStatus } from './connection-status.ts';
import type { ConnectionTokens } from './connection-token.ts';
import type { RelayLink } from './relay-link.ts';

/** Shortest delay before a token that could not be renewed is renewed again, in milliseconds. */
const REFRESH_RETRY_MS = 10_000;
/** Shortest silence after which a connection is probed when the browser wakes up, in milliseconds. */
const SILENCE_MS = 3_000;
/** How long a probed connection has to answer, in milliseconds. */
const PROBE_TIMEOUT_MS = 3_000;

export interface LinkUpkeepDeps {
  tokens: Pick<ConnectionTokens, 'renew'>;
  status: Pick<ConnectionStatus, 'link'>;
  /** The relay has taken a new token. */
  onRenewed: () => void;
  /** The user may no longer have a connection. */
  onRefused: (error: ClientError) => void;
  /** The link does not answer. */
  onLost: (why: string) => void;
  clock: Clock;
  log: Logger;
}

/** Keeps the open link good: renews its token in time, and finds out whether it still works. */
export interface LinkUpkeep {
  /** Renews the token at `at` on the client's clock. */
  renewAt: (at: number) => void;
  /** Renews the token now. */
  renew: () => Promise<void>;
  /** Asks the relay something; without an answer in this time, the link is dead. */
  probe: (timeoutMs: number, why: string) => void;
  /** The same after a silence. A connection may die while a computer sleeps; its own time-out would take much longer to see it. */
  wake: () => void;
  stop: () => void;
}

export function createLinkUpkeep({ tokens, status, clock, log, ...deps }: LinkUpkeepDeps): LinkUpkeep {
  let timer: unknown;

  function renewAt(at: number): void {
    clock.clearTimeout(timer);
    const delay = Math.min(Math.max(0, at - clock.now()), MAX_DELAY_MS);
    timer = clock.setTimeout(() => void renew(), delay);
  }

  /** A failure is tried again; if that comes too late, the relay closes the connection, and the next one has a new token. */
  async function renew(): Promise<void> {
    const on = status.link;
    if (!on) return;
    try {
      const ticket = await tokens.renew();
      if (status.link !== on) return;
      await on.ask('refresh-token', { token: ticket.token });
      if (status.link !== on) return;
      deps.onRenewed();
      renewAt(ticket.renewAt);
    } catch (cause) {
      if (status.link !== on) return;
      const error = toClientError(cause);
      if (error.code === 'FORBIDDEN') return deps.onRefused(error);
      log.debug('unable to refresh the connection token', { code: error.code });
      renewAt(clock.now() + Math.max(error.retryAfterMs ?? 0, REFRESH_RETRY_MS));
    }
  }

  async function ask(on: RelayLink, timeoutMs: number, why: string): Promise<void> {
    try {
      await on.ask('resume', { positions: {} }, timeoutMs);
    } catch (cause) {
      if (status.link === on && toClientError(cause).code === 'UNREACHABLE') deps.onLost(why);
    }
  }

  function probe(timeoutMs: number, why: string): void {
    if (status.link) void ask(status.link, timeoutMs, why);
  }

  return {
    renewAt,
    renew,
    probe,
    wake() {
      if (status.link && millisecondsSince(status.link.heardAt) >= SILENCE_MS) {
        probe(PROBE_TIMEOUT_MS, 'it does not answer');
      }
    },
    stop: () => clock.clearTimeout(timer),
  };
}
