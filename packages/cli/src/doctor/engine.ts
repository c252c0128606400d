import { relayAddress } from '@groupcast/shared';
import { ask, NoReply, type Reply, refusalIn, tryToAsk } from './ask.ts';

/** The answer at an address where a relay should be. */
export type EngineAnswer =
  | { kind: 'engine'; sid: string; cookie: string | undefined; reply: Reply }
  | { kind: 'refused'; code: string; message: string; reply: Reply }
  | { kind: 'something-else'; why: string; reply: Reply }
  | { kind: 'nothing'; why: string; silent: boolean };

const MAX_SHOWN = 160;

export function engineUrl(url: string, query: string): string {
  const { origin, path } = relayAddress(url);
  return `${origin}${path}?EIO=4&${query}`;
}

/** Opens a session of HTTP long-polling, as every Socket.IO client does first. `closeSession` ends it. */
export async function openSession(
  url: string,
  { timeoutMs, headers = {} }: { timeoutMs: number; headers?: Record<string, string> },
): Promise<EngineAnswer> {
  const reply = await tryToAsk(engineUrl(url, 'transport=polling'), { timeoutMs, headers });
  if (reply instanceof NoReply) return { kind: 'nothing', why: reply.message, silent: reply.silent };
  const sid = /^0\{"sid":"([^"]+)"/.exec(reply.text)?.[1];
  if (reply.status === 200 && sid !== undefined) {
    const cookies = (reply.headers['set-cookie'] ?? []).map((cookie) => cookie.split(';', 1)[0]);
    return { kind: 'engine', sid, cookie: cookies.length > 0 ? cookies.join('; ') : undefined, reply };
  }
  const refusal = refusalIn(reply) ?? refusalOfEngine(reply);
  // A refusal of the relay, and not one of a service that has no such path.
  if (refusal && refusal.code !== 'NOT_FOUND') return { kind: 'refused', ...refusal, reply };
  const why =
    refusal?.message ??
    `it answers HTTP ${reply.status}: ${reply.text.slice(0, MAX_SHOWN).replaceAll(/\s+/g, ' ').trim()}`;
  return { kind: 'something-else', why, reply };
}

/** Engine.IO's own refusals are `{code, message}`; the relay puts its code into the message. */
function refusalOfEngine({ json }: Reply): { code: string; message: string } | undefined {
  const { code, message } = (json ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code !== 'number' || typeof message !== 'string') return undefined;
  return { code: /^[A-Z_]+$/.test(message) ? message : 'UNSUPPORTED_PROTOCOL', message };
}

/** Ends a session by a request of its own, as a client does. Answers whether it reached the relay that has the session. */
export async function closeSession(
  url: string,
  { sid, cookie }: { sid: string; cookie: string | undefined },
  timeoutMs: number,
): Promise<'closed' | 'unknown' | 'unanswered'> {
  const headers = { 'content-type': 'text/plain;charset=UTF-8', ...(cookie === undefined ? {} : { cookie }) };
  try {
    const at = engineUrl(url, `transport=polling&sid=${encodeURIComponent(sid)}`);
    const { status, text } = await ask(at, { method: 'POST', headers, body: '1', timeoutMs });
    if (status < 300) return 'closed';
    return status === 400 && /session id unknown/i.test(text) ? 'unknown' : 'unanswered';
  } catch {
    return 'unanswered';
  }
}
