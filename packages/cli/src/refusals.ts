import { type ErrorBody, type ErrorCode, isErrorCode } from '@groupcast/shared';
import type { Variables } from './command.ts';
import { secretSource } from './settings.ts';
import { printable } from './terminal.ts';

/** Which token was refused: the service's or user's that a command signs, or the connection token of the API. */
export type CheckedSecret = 'service' | 'user' | 'connection';

/** `code` is the relay's or API's; where there is none, nobody answered, and `text` says why not. */
export interface ConnectProblem {
  code: string | undefined;
  text: string;
}

type ConnectError = Error & { data?: Partial<ErrorBody>; description?: unknown; context?: unknown };

/**
 * Reads Socket.IO's `connect_error`: a refusal carries the relay's `data`, anything else is the network's. The
 * WebSocket client keeps its cause in `description.error`, the polling one in `context.statusText`.
 */
export function readConnectError({ message, data, description, context }: ConnectError): ConnectProblem {
  if (data?.code) return { code: printable(data.code), text: printable(data.message ?? message) };
  const cause =
    (description as { error?: NodeJS.ErrnoException } | undefined)?.error ??
    (context as { statusText?: NodeJS.ErrnoException } | undefined)?.statusText;
  const status = typeof description === 'number' && description > 0 ? `HTTP ${description}` : undefined;
  return { code: undefined, text: printable(cause?.code || cause?.message || status || message) };
}

/** Reads the close frame of a relay that lets nobody in for now: `CODE: message`. */
export function readCloseReason(details: unknown): { code: string; text: string } | undefined {
  const { reason } = (details as { context?: { reason?: unknown } } | undefined)?.context ?? {};
  const [, code, text] = (typeof reason === 'string' && /^([A-Z][A-Z_]+): (.+)$/s.exec(reason)) || [];
  return code === undefined || text === undefined ? undefined : { code, text: printable(text) };
}

const FIXES: Partial<Record<ErrorCode, (checked: CheckedSecret, env: Variables) => string>> = {
  SERVICE_TOKEN_INVALID: (_checked, env) =>
    `RELAY_SERVICE_SECRET differs between here and the relay, or the clocks do: this command signs with ${secretSource(env, 'RELAY_SERVICE_SECRET')}; give it the relay's RELAY_SERVICE_SECRET (or its DATA_DIR)`,
  TOKEN_INVALID: (checked, env) =>
    checked === 'connection'
      ? 'CONNECTION_TOKEN_SECRET (or JWT_SECRET) differs between the relay and the signer, or the clocks do'
      : `JWT_SECRET, JWT_ISSUER or JWT_AUDIENCE differs between here and there, or the clocks do: this command signs with ${secretSource(env, 'JWT_SECRET')}; give it the services' JWT_SECRET (or their DATA_DIR)`,
  TOKEN_EXPIRED: () => 'the clocks of the two machines differ',
  TOO_MANY_CONNECTIONS: () => 'use fewer --receivers, or raise the limit of the relay',
  RATE_LIMITED: () => 'use a lower --rate, or wait a minute',
  SERVER_DRAINING: () => 'the relay is stopping; try again when it is back',
};

/** The advice about a refusal, in words; an empty text where the message of the refusal is all there is to say. */
export function fixFor(code: string, checked: CheckedSecret, env: Variables): string {
  return (isErrorCode(code) && FIXES[code]?.(checked, env)) || '';
}
