import { GroupcastError } from '@groupcast/shared/publisher';
import { type HttpAnswer, readAnswer } from './http-answer.ts';
import { requestOf } from './http-request.ts';
import type { RelayCall, Transport } from './publisher.ts';
import { isClosed, isNoToken, tooManyWaiting, wasClosed } from './relay-error.ts';

/** The part of `fetch` that is used. */
export type Fetch = (
  url: string,
  init: {
    method: 'GET' | 'POST';
    headers: Record<string, string>;
    body?: string;
    redirect: 'manual';
    cache?: 'no-store';
    signal: AbortSignal;
  },
) => Promise<HttpAnswer>;

/** Next.js keeps answers to GET in a cache of its own unless told not to; runtimes without a cache refuse the option. */
const uncached = (): { cache?: 'no-store' } =>
  typeof Request === 'function' && 'cache' in Request.prototype ? { cache: 'no-store' } : {};

/** The system's code behind "fetch failed", or the text of the error. */
function causeOf(error: unknown): string {
  const { cause, message } = (error ?? {}) as { cause?: { code?: string; message?: string }; message?: string };
  return cause?.code ?? (cause?.message || message || String(error));
}

/** The characters of a token. Where `fetch` is given others in a header, its error shows the header. */
const TOKEN = /^[\x21-\x7e]+$/;

async function tokenFor(call: RelayCall, getToken: (call: RelayCall) => Promise<string> | string): Promise<string> {
  let token: unknown;
  try {
    token = await getToken(call);
  } catch (cause) {
    const why = `there is no service token (${cause instanceof Error ? cause.message : String(cause)})`;
    throw new GroupcastError('RELAY_UNAVAILABLE', `unable to send ${call}; ${why}`, { cause });
  }
  const trimmed = typeof token === 'string' ? token.trim() : '';
  if (!TOKEN.test(trimmed)) throw isNoToken(call);
  return trimmed;
}

/** Rejects with the reason of the signal as soon as it aborts, also where `work` does not notice. */
async function until<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return Promise.race([
    work(),
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    }),
  ]);
}

/** One request a call, and nothing that outlives it: a function that is frozen after its answer leaves nothing behind. */
export function createHttpTransport(options: {
  /** As `readRelayUrl` reads it. */
  url: string;
  getToken: (call: RelayCall) => Promise<string> | string;
  fetch: Fetch;
  maxPending: number;
}): Transport {
  const { url } = options;
  const pending = new Map<AbortController, RelayCall>();
  let closed = false;

  async function send<T>(call: RelayCall, payload: unknown, signal: AbortSignal): Promise<T> {
    const { method, path, body } = requestOf(call, payload);
    const token = await tokenFor(call, options.getToken);
    // The deadline was over while the token was awaited: nothing may be sent any more.
    if (signal.aborted) throw signal.reason;
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
    try {
      const answer = await options.fetch(`${url}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, accept: 'application/json', ...type },
        ...(body === undefined ? {} : { body }),
        // To another place it would send the token as well.
        redirect: 'manual',
        ...uncached(),
        signal,
      });
      return await readAnswer<T>(call, url, answer);
    } catch (cause) {
      if (cause instanceof GroupcastError || signal.aborted) throw cause;
      const why = `the relay at ${url} cannot be reached (${causeOf(cause)})`;
      throw new GroupcastError('RELAY_UNAVAILABLE', `unable to send ${call}; ${why}`, { cause });
    }
  }

  return {
    async call<T>(call: RelayCall, payload: unknown, timeoutMs: number): Promise<T> {
      if (closed) throw isClosed(call);
      if (pending.size >= options.maxPending) throw tooManyWaiting(call, pending.size);
      const stop = new AbortController();
      const deadline = AbortSignal.timeout(timeoutMs);
      const expire = (): void => {
        const late = `unable to send ${call}; the relay at ${url} did not answer within ${timeoutMs} ms`;
        stop.abort(new GroupcastError('RELAY_UNAVAILABLE', late));
      };
      deadline.addEventListener('abort', expire);
      pending.set(stop, call);
      try {
        return await until(stop.signal, async () => send<T>(call, payload, stop.signal));
      } finally {
        deadline.removeEventListener('abort', expire);
        pending.delete(stop);
      }
    },
    close() {
      closed = true;
      for (const [stop, call] of pending) stop.abort(wasClosed(call));
    },
  };
}
