import { setTimeout as pause } from 'node:timers/promises';
import { ERROR_CODES, isErrorCode } from '@groupcast/shared';
import { NoReply, refusalIn, tryToAsk } from './ask.ts';
import { CANARY_USERS, createCage, credentials } from './canary.ts';
import { closeSession, openSession } from './engine.ts';
import { failed, type Outcome, ok, skipped } from './hops.ts';
import { connect, NoConnection } from './sockets.ts';
import { type Probe, type Walk, whyPutOff } from './walk-state.ts';

/** How one side took a token. `unknown`: it could not be asked. */
type Verdict =
  | { took: true }
  | { took: false; code: string; message: string; fault: string }
  | { took: 'unknown'; why: string };

const TOOK: Verdict = { took: true };
const unknown = (why: string): Verdict => ({ took: 'unknown', why });
const TIMES = new Set(['iat', 'nbf', 'exp']);
/** How long the API has to come back to its relay, in milliseconds: it may have lost it a moment ago. */
const RECONNECT_MS = 3_000;
const RECONNECT_STEP_MS = 250;

async function byRelay(
  auth: Record<string, unknown>,
  walk: Walk,
  headers: Record<string, string> = {},
): Promise<Verdict> {
  const { relayUrl, timeoutMs } = walk.patient;
  let why = '';
  for (const transport of ['websocket', 'polling'] as const) {
    try {
      const client = await connect({ url: relayUrl, transport, auth, headers }, timeoutMs);
      client.close();
      return TOOK;
    } catch (error) {
      if (!(error instanceof NoConnection)) throw error;
      const { code, message, fault } = error;
      if (code === 'TOKEN_MISSING') return unknown('the relay looks for tokens elsewhere (AUTH_TOKEN_FROM)');
      // It refuses everybody, or this one for now: the token was not looked at, or was not the reason.
      if (isErrorCode(code) && ERROR_CODES[code].retryable) {
        walk.relayPutsOff = code;
        return unknown(whyPutOff(code));
      }
      if (code !== undefined) return { took: false, code, message, fault };
      why = message;
    }
  }
  return unknown(`the relay could not be asked (${why})`);
}

async function byApi(
  method: 'GET' | 'POST',
  path: string,
  token: string,
  walk: Walk,
): Promise<Verdict & { json?: unknown }> {
  const { api, timeoutMs } = walk.patient;
  if (!api || !walk.apiAnswers) return unknown('the API could not be asked');
  const headers = { authorization: `Bearer ${token}` };
  const reply = await tryToAsk(`${api.url}${path}`, { method, headers, timeoutMs });
  if (reply instanceof NoReply) return unknown(`the API could not be asked (${reply.message})`);
  const refusal = refusalIn(reply);
  if (refusal?.code === 'TOKEN_MISSING') return unknown('the API looks for tokens elsewhere (AUTH_TOKEN_FROM)');
  if (reply.status === 401 || reply.status === 403) {
    return {
      took: false,
      ...(refusal ?? { code: `HTTP ${reply.status}`, message: `HTTP ${reply.status}`, fault: '' }),
    };
  }
  if (reply.status >= 300) return unknown(`the API answers ${path} with HTTP ${reply.status}`);
  return { took: true, json: reply.json };
}

const isOfClock = (verdict: Verdict): boolean =>
  verdict.took === false && (TIMES.has(verdict.fault) || verdict.code === 'TOKEN_EXPIRED');

/** Names the side whose secret differs: the relay, the API, or this environment, which both refuse. */
function mismatch(variable: string, sides: { relay: Verdict; api: Verdict }, source: string): Outcome | undefined {
  const { relay, api } = sides;
  const refusal = [relay, api].find((verdict) => verdict.took === false);
  if (refusal?.took !== false) return undefined;
  const said = refusal.message === refusal.code ? refusal.code : `${refusal.code}: ${refusal.message}`;
  if (isOfClock(refusal)) {
    return failed(
      'CLOCK_SKEW',
      `a fresh token is refused for its times (${said})`,
      'set the clocks of the machines by NTP',
      { blames: 'clock' },
    );
  }
  if (refusal.fault !== '' && refusal.fault !== 'signature') {
    return failed(
      'TOKEN_REFUSED',
      `a token is refused (${said})`,
      'make a token for this audience and scope: groupcast token --service',
    );
  }
  // A side that is refused for its secret looks cut off.
  const more = variable === 'RELAY_SERVICE_SECRET' ? ({ explains: 'RELAY_CUT_OFF' } as const) : {};
  const of = (cause: string, fix: string, also: Parameters<typeof failed>[3] = {}): Outcome =>
    failed('SECRET_MISMATCH', `${cause} (${said})`, fix, also);
  const value = `set ${variable} to the same value for API and relay, and restart the one that differs`;
  if (relay.took === true)
    return of(`${variable} of the API differs: the relay takes ${source}, the API does not`, value, more);
  if (api.took === true)
    return of(`${variable} of the relay differs: the API takes ${source}, the relay does not`, value, more);
  if (relay.took === false && api.took === false) {
    return of(
      `${variable} here differs from API and relay: both refuse ${source}`,
      `give this command the ${variable} of the services, or their DATA_DIR`,
    );
  }
  const side = relay.took === false ? 'relay' : 'API';
  return of(
    `${variable} of the ${side} differs from ${source}`,
    `compare ${variable} of this environment, of the relay and of the API`,
  );
}

async function probeService(walk: Walk): Promise<Outcome | string> {
  const { patient } = walk;
  const token = await patient.serviceToken('relay', ['broadcast']);
  const apiToken = await patient.serviceToken('api', ['relay']);
  const relay =
    token === undefined || !walk.relayAnswers ? unknown('no token') : await byRelay({ type: 'api', token }, walk);
  const api: Verdict =
    apiToken === undefined ? unknown('no token') : await byApi('GET', '/internal/health', apiToken, walk);
  walk.relayTakesService = relay.took === 'unknown' ? undefined : relay.took;
  const wrong = mismatch('RELAY_SERVICE_SECRET', { relay, api }, patient.secretSource);
  if (wrong) return wrong;
  const takers = [relay.took === true ? 'relay' : '', api.took === true ? 'API' : ''].filter(Boolean);
  return takers.length > 0
    ? `the service token is accepted by ${takers.join(' and ')}`
    : 'no service token could be tried';
}

/**
 * The API tells browsers where the relay is, and that is the way that they take. Where it leads nowhere from this machine, which need not be
 * where browsers are, the walk goes on by the address that is known here.
 */
async function followTheApi(walk: Walk, relayUrl: string): Promise<void> {
  const { publicUrl, timeoutMs } = walk.patient;
  if (publicUrl !== undefined || relayUrl === walk.publicUrl || !URL.canParse(relayUrl)) return;
  const answer = await openSession(relayUrl, { timeoutMs });
  if (answer.kind !== 'engine') return;
  await closeSession(relayUrl, answer, timeoutMs);
  walk.publicUrl = relayUrl;
}

/** The secret of the API's connection tokens is the relay's as well, or its users stay outside. */
async function probeConnectionToken(walk: Walk, userToken: string): Promise<Outcome | undefined> {
  const answer = await byApi('POST', '/api/realtime/token', userToken, walk);
  const { token, relayUrl } = (answer.json ?? {}) as { token?: unknown; relayUrl?: unknown };
  if (typeof relayUrl === 'string') await followTheApi(walk, relayUrl);
  const { users } = walk.patient;
  if (typeof token !== 'string' || !walk.relayAnswers || !users) return undefined;
  const { auth, headers } = credentials(token, users.places);
  const verdict = await byRelay(auth, walk, headers);
  if (verdict.took !== false) return undefined;
  return isOfClock(verdict)
    ? mismatch('CONNECTION_TOKEN_SECRET', { relay: verdict, api: TOOK }, 'the token')
    : failed(
        'SECRET_MISMATCH',
        `CONNECTION_TOKEN_SECRET or JWT_SECRET of the relay differs: it refuses a connection token that the API has just signed (${verdict.code})`,
        'set both to the same values for API and relay, and restart the one that differs',
      );
}

async function probeUsers(walk: Walk): Promise<Outcome | string> {
  const { users } = walk.patient;
  if (!users) return 'no token of a user can be made here (JWT_SECRET is not known), so none was tried';
  const token = await users.sign(CANARY_USERS[0], []);
  const { auth, headers } = credentials(token, users.places);
  const relay = walk.relayAnswers ? await byRelay(auth, walk, headers) : unknown('the relay does not answer');
  const api: Verdict =
    users.kind === 'user' ? await byApi('GET', '/api/users/me', token, walk) : unknown('it takes no connection token');
  walk.relayTakesUsers = relay.took === 'unknown' ? undefined : relay.took;
  const isForeign = users.isGuess && relay.took !== true && api.took !== true;
  if (isForeign) return `no token of a user was tried: ${users.source} is not theirs; give JWT_SECRET`;
  const variable = users.kind === 'user' ? 'JWT_SECRET (or JWT_ISSUER, JWT_AUDIENCE)' : 'CONNECTION_TOKEN_SECRET';
  const wrong = mismatch(variable, { relay, api }, users.source);
  if (wrong) return wrong;
  const further = users.kind === 'user' && api.took === true ? await probeConnectionToken(walk, token) : undefined;
  if (further) return further;
  const takers = [relay.took === true ? 'relay' : '', api.took === true ? 'API' : ''].filter(Boolean);
  return takers.length > 0 ? `tokens of users by ${takers.join(' and ')}` : 'no token of a user could be tried';
}

/** Whether the API has its relay: both take our token, so no secret is in the way, and the API knows another address. */
async function probeConnection(walk: Walk): Promise<Outcome | undefined> {
  const token = await walk.patient.serviceToken('api', ['relay']);
  if (token === undefined || !walk.apiAnswers || !walk.relayAnswers) return undefined;
  for (const endsAt = performance.now() + RECONNECT_MS; ; ) {
    const answer = await byApi('GET', '/internal/health', token, walk);
    const { relay } = (answer.json ?? {}) as { relay?: { connected?: unknown } };
    if (relay?.connected !== false) return undefined;
    if (performance.now() > endsAt) break;
    await pause(RECONNECT_STEP_MS);
  }
  return failed(
    'RELAY_CUT_OFF',
    'the API is not connected to its relay, which answers here',
    'correct RELAY_URL of the API, or what is between the two; its log has the reason',
    { blames: 'relay' },
  );
}

/** Tokens as each side takes them: those of services, those of users, and those that the API signs for the relay. */
export const probeSecrets: Probe = async (walk) => {
  if (!walk.relayAnswers && !walk.apiAnswers) return skipped('neither API nor relay answers');
  const service = await probeService(walk);
  if (typeof service !== 'string') return service;
  const users = await probeUsers(walk);
  if (typeof users !== 'string') return users;
  if (walk.relayPutsOff !== undefined) return skipped(`not tested: ${whyPutOff(walk.relayPutsOff)}`);
  const apart = await probeConnection(walk);
  if (apart) return apart;
  // Only now is it known whose tokens the canaries can have.
  if (walk.relayTakesService) walk.cage = createCage(walk.patient, { useUsers: walk.relayTakesUsers === true });
  return ok(`${service}; ${users}`);
};
