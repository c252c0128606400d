import type { DoctorGroup, DoctorReport, DoctorVerdict } from '@groupcast/shared';

type Finding = DoctorVerdict | undefined;

const fault = (code: string, cause: string, fix = ''): DoctorVerdict => ({ ok: false, code, cause, fix });

/** A duration in its largest whole unit: `3 min`. */
export function inWords(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3_600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`;
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

const RENEW = 'Fetch a new token before it expires; emit refresh-token with it, and set socket.auth.';
const ADD_MEMBER = 'Add the user to the group in your back end; compare the id with the relay’s log.';
const ORIGIN = 'Add it to SOCKET_CORS_ORIGIN of the relay.';

/** Sentences on what to do about a refusal, by its code. */
const FIXES: Readonly<Record<string, string>> = {
  TOKEN_MISSING: 'Connect with auth: { token }.',
  TOKEN_INVALID: 'Compare its key, issuer and audience with JWT_SECRET, JWT_ISSUER and JWT_AUDIENCE of the relay.',
  TOKEN_REVOKED: 'Sign in again.',
  TOKEN_IN_QUERY: 'Send the token in auth: { token }, not in the URL.',
  ORIGIN_FORBIDDEN: ORIGIN,
  FORBIDDEN: 'Look at the user’s rights in your back end.',
  INVALID_PAYLOAD: 'Correct the field of auth that the message names.',
  TOO_MANY_CONNECTIONS: 'Keep one socket per page, and close the others.',
  RATE_LIMITED: 'Send less, and come back after retryAfterMs.',
};

function expired({ leftMs = 0, sent }: DoctorReport['token']): DoctorVerdict {
  const ago = leftMs < 0 ? ` ${inWords(-leftMs)} ago` : '';
  const why = sent > 1 ? `and so did those before; ${sent} were sent` : 'the page does not send a new one';
  return fault('TOKEN_EXPIRED', `Token expired${ago}: ${why}.`, RENEW);
}

/** Why it is not connected. */
function unconnected({ connection, client, page, probe, relay, token }: DoctorReport): DoctorVerdict {
  const { reason, ending, state, forMs } = connection;
  const code = client?.code ?? (ending && ending.next !== 'reconnect' ? ending.code : reason?.code) ?? '';
  const message = client?.message ?? reason?.message;
  const told = message ? ` (${message})` : '';
  const fix = FIXES[code];
  if (!page.online) return fault('OFFLINE', 'The browser has no network.');
  if (code === 'TOKEN_EXPIRED') return expired(token);
  if (message === 'Invalid namespace') {
    return fault('WRONG_NAMESPACE', 'There is no such namespace.', 'Connect to the origin, without a path.');
  }
  if (fix) return fault(code, `The relay refused: ${code}${told}.`, fix);
  if (page.origin.startsWith('https:') && relay.url.startsWith('http:')) {
    return fault('MIXED_CONTENT', 'A page on https may not connect to http.', 'Serve the relay on https.');
  }
  if (probe?.reachable && !probe.readable) {
    return fault('ORIGIN_REFUSED', `Origin refused: the relay answers, but not to ${page.origin}.`, ORIGIN);
  }
  if (probe && !probe.reachable) {
    return fault('RELAY_UNREACHABLE', `Nothing answers at ${relay.url}.`, 'Start the relay, or correct the URL.');
  }
  if ((token.leftMs ?? 0) < 0) return expired(token);
  if (state === 'idle' || client?.state === 'idle') {
    return fault('NOT_STARTED', `Not connected yet${told}.`, 'Call connect().');
  }
  if (code === 'CLOSED_BY_PAGE' || code === 'CLOSED') {
    return fault('CLOSED_BY_PAGE', 'The page closed the connection.', 'Call connect().');
  }
  if (code === 'CLOSED_BY_RELAY') {
    return fault(code, 'The relay closed the connection; a stock client stays away.', 'Do what session-ending says.');
  }
  return fault(
    'CONNECTING',
    `Not connected for ${inWords(forMs)}: ${code || state}${told}.`,
    'If it stays so, open the relay’s URL in a tab: it tests both transports.',
  );
}

/** Faults of a connection as a whole. */
function unwell({ connection, token }: DoctorReport): Finding {
  const { ending, silentMs, maxSilentMs, live } = connection;
  if ((silentMs ?? 0) > maxSilentMs + 5_000) {
    return fault(
      'SILENT',
      `Nothing came for ${inWords(silentMs ?? 0)}, no heartbeat either.`,
      'Reload; look at the proxy.',
    );
  }
  if (!live) {
    return fault('RELAY_CUT_OFF', 'This relay cannot reach the others, and delivers nothing.', 'Look at its Redis.');
  }
  if (ending?.next === 'refresh-token') {
    return fault('TOKEN_ENDING', 'The relay asked for a new token: the page does not send one.', RENEW);
  }
  if ((token.leftMs ?? 0) < 0) {
    return fault(
      'CLOCK_SKEW',
      `Connected with a token that expired ${inWords(-(token.leftMs ?? 0))} ago by this clock.`,
      'Set the clock.',
    );
  }
  return undefined;
}

/** In no group, as far as can be seen. */
function groupless({ connection, groups }: DoctorReport): Finding {
  const { late, greeted, forMs } = connection;
  const by = (state: DoctorGroup['state']): DoctorGroup | undefined => groups.find((group) => group.state === state);
  if (by('joined')) return undefined;
  const [undecided, left] = [by('undecided'), by('left')];
  if (undecided) {
    return fault('UNDECIDED', `The relay cannot ask its API about group ${undecided.groupId}.`, 'Look at API_URL.');
  }
  if (by('refused')) return undefined;
  if (left) {
    return fault(
      'LEFT_GROUPS',
      `Connected, but no longer in group ${left.groupId} (${left.code ?? 'left'}).`,
      ADD_MEMBER,
    );
  }
  if (late && !greeted) {
    return fault(
      'ATTACHED_LATE',
      'Connected before the doctor came: groups are not known.',
      'Attach it before connect().',
    );
  }
  if (!greeted && forMs < 5_000) return { ...fault('GREETING', 'Connected; groups are not known yet.'), ok: true };
  if (!greeted) {
    return fault('NO_GREETING', 'Connected, but joined-groups did not come.', 'Does the page speak a dialect?');
  }
  return groups.length > 0
    ? undefined
    : fault(
        'NOT_JOINED',
        'Connected, but not joined to any group.',
        'Emit join-group, or name the group in the token.',
      );
}

function behind({ groups, source }: DoctorReport): Finding {
  const late = groups.filter((group) => group.state === 'joined' && group.behind !== 0);
  const [worst] = late.toSorted((a, b) => (b.behind ?? 0) - (a.behind ?? 0));
  if (!worst) return undefined;
  const { groupId, head, seen } = worst;
  const others = late.length > 1 ? `; ${late.length - 1} more too` : '';
  if (worst.behind === null) {
    return fault('NEW_EPOCH', `Group ${groupId} was started over${others}.`, 'Read its messages from the API again.');
  }
  return fault(
    'BEHIND',
    `Group ${groupId} is ${count(worst.behind, 'message')} behind: head ${head?.seq}, last seen ${seen?.seq}${others}.`,
    source === 'client'
      ? 'The SDK is catching up; if it stays so, does the API answer?'
      : 'Emit resume with the positions, then read /events; doctor.reached() tells the doctor.',
  );
}

function outside({ groups, connection }: DoctorReport): Finding {
  const refused = groups.find(({ state }) => state === 'refused');
  if (refused) return fault('JOIN_REFUSED', `Group ${refused.groupId} was refused: ${refused.code}.`, ADD_MEMBER);
  const lost = groups.find(({ state }) => state === 'unknown');
  if (!lost || !connection.greeted) return undefined;
  return fault(
    'NOT_REJOINED',
    `Group ${lost.groupId} was joined before, and is not now.`,
    'Emit join-group on each connect.',
  );
}

/** Says in one sentence what is wrong first, and in another what to do. */
export function diagnose(report: DoctorReport): DoctorVerdict {
  const { connection, groups, relay, token } = report;
  if (connection.state !== 'connected') return unconnected(report);
  const found = unwell(report) ?? groupless(report) ?? behind(report) ?? outside(report);
  if (found) return found;
  if ((token.leftMs ?? 60_000) < 30_000) {
    return fault('TOKEN_EXPIRES', `The token expires in ${inWords(token.leftMs ?? 0)}.`, RENEW);
  }
  if (relay.transport === 'polling' && relay.mayUpgrade && connection.forMs > 15_000) {
    return fault('NO_UPGRADE', 'By polling only: no WebSocket came through.', 'Let the proxy pass the header Upgrade.');
  }
  const joined = groups.filter(({ state }) => state === 'joined').length;
  return { ...fault('WELL', `All well: connected, in ${count(joined, 'group')}, nothing missing.`), ok: true };
}
