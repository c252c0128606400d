import { NoReply, type Reply, tryToAsk } from './ask.ts';
import { closeSession, openSession } from './engine.ts';
import { failed, type Outcome, ok, skipped } from './hops.ts';
import type { Probe } from './walk-state.ts';

const FIX =
  'add it to SOCKET_CORS_ORIGIN of both services, as the browser spells it: scheme, name and port, without a path';

function allows({ headers }: Reply, origin: string): boolean {
  const allowed = headers['access-control-allow-origin'];
  return allowed === origin || allowed === '*';
}

function refusedBy(sides: readonly string[], origin: string, said: string): Outcome {
  return failed(
    'ORIGIN_REFUSED',
    `${sides.join(' and ')} refuse${sides.length === 1 ? 's' : ''} pages of ${origin}${said}`,
    FIX,
  );
}

/** A preflight to the API and a handshake with the relay, as a page of this origin makes them. */
export const probeCors: Probe = async ({ patient, relayAnswers, apiAnswers, apiReady, publicUrl }) => {
  const { origin, api, timeoutMs } = patient;
  if (origin === undefined) return skipped('no origin is known; name that of your pages by --origin');
  const refusals: string[] = [];
  const asked: string[] = [];
  let said = '';
  if (relayAnswers) {
    const answer = await openSession(publicUrl, { timeoutMs, headers: { origin } });
    asked.push('the relay');
    if (answer.kind === 'engine') await closeSession(publicUrl, answer, timeoutMs);
    if (answer.kind === 'refused') said = ` (${answer.code})`;
    if (answer.kind !== 'nothing' && !(answer.kind === 'engine' && allows(answer.reply, origin)))
      refusals.push('the relay');
  }
  if (api && apiAnswers && apiReady) {
    const headers = {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type',
    };
    const reply = await tryToAsk(`${api.url}/api/realtime/token`, { method: 'OPTIONS', headers, timeoutMs });
    asked.push('the API');
    if (!(reply instanceof NoReply) && !allows(reply, origin)) refusals.push('the API');
  }
  if (asked.length === 0) return skipped('neither API nor relay answers');
  return refusals.length > 0
    ? refusedBy(refusals, origin, said)
    : ok(`${asked.join(' and ')} let in pages of ${origin}`);
};
