import { NoReply, tryToAsk } from './ask.ts';
import { closeSession, engineUrl, openSession } from './engine.ts';
import { failed, ok, skipped } from './hops.ts';
import type { Probe } from './walk-state.ts';

/** Sessions that are tried one after the other: two relays that are chosen at random pass as one in 1 of 256 walks. */
const SESSIONS = 8;

const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': Buffer.from('groupcast-doctor').toString('base64'),
};

/** Whether a WebSocket gets through to the relay at the address of browsers. */
export const probeUpgrade: Probe = async ({ relayAnswers, publicUrl, patient: { timeoutMs } }) => {
  if (!relayAnswers) return skipped('the relay does not answer');
  const reply = await tryToAsk(engineUrl(publicUrl, 'transport=websocket'), { headers: UPGRADE, timeoutMs });
  if (!(reply instanceof NoReply) && reply.status === 101) return ok(`a WebSocket gets through at ${publicUrl}`);
  const said = reply instanceof NoReply ? reply.message : `HTTP ${reply.status}`;
  return failed(
    'NO_UPGRADE',
    `no WebSocket gets through at ${publicUrl} (${said}), and HTTP does`,
    'the proxy in front has to speak HTTP/1.1 and pass the headers Upgrade and Connection on (deploy/ has configurations)',
  );
};

/** Whether the requests of one polling session reach one relay, over connections of their own, with the balancer's cookies. */
export const probeStickiness: Probe = async ({ relayAnswers, publicUrl, patient: { timeoutMs } }) => {
  if (!relayAnswers) return skipped('the relay does not answer');
  let lost = 0;
  let unanswered = 0;
  for (let n = 0; n < SESSIONS; n += 1) {
    const answer = await openSession(publicUrl, { timeoutMs });
    if (answer.kind !== 'engine') {
      unanswered += 1;
      continue;
    }
    const end = await closeSession(publicUrl, answer, timeoutMs);
    if (end === 'unknown') lost += 1;
    if (end === 'unanswered') unanswered += 1;
  }
  if (lost > 0) {
    return failed(
      'NOT_STICKY',
      `${lost} of ${SESSIONS} polling sessions at ${publicUrl} reached another relay with their second request (Session ID unknown)`,
      'make the balancer sticky, by the client’s address or by a cookie (deploy/ has configurations), or have clients use WebSocket alone',
    );
  }
  if (unanswered === SESSIONS) return skipped(`no polling session could be opened at ${publicUrl}`);
  return ok(`${SESSIONS - unanswered} polling sessions stayed where they were opened`);
};
