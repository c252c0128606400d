import type { API_VERDICT_CODES, Hop, RELAY_VERDICT_CODES, RecipientState } from '@groupcast/shared';

interface Words {
  hop: Hop;
  cause: string;
  fix: string;
}

/**
 * Codes of verdicts, each with the hop that it is about, a cause and a fix in words that any user may read. Relays add codes of their own, and have
 * the same ones for recipients.
 */
export const TRACE_CODES = {
  DELIVERED: { hop: 'client-received', cause: 'every recipient has it', fix: 'nothing is to be done' },
  NO_RECIPIENTS: {
    hop: 'client-applied',
    cause: 'nobody else was in the group when it was saved, so that there is nobody to have it',
    fix: 'add members to the group; those who join read it in its history',
  },
  NOT_A_RECIPIENT: {
    hop: 'saved',
    cause: 'the message is not for this user: its sender, no member of the group, or a member since a later time',
    fix: 'check the user’s id, and whether the user is a member of the group',
  },
  DATABASE_READ_ONLY: {
    hop: 'claimed',
    cause: 'it waits in the outbox, and the database takes no writes',
    fix: 'make the database writable again (a standby, default_transaction_read_only, a full disk)',
  },
  LEASED_ELSEWHERE: {
    hop: 'claimed',
    cause: 'it waits in the outbox, and another process of the API holds its group without sending it',
    fix: 'if that lasts longer than the lease, the process is frozen or its database connection hangs: restart it',
  },
  RELAY_REFUSED: {
    hop: 'relay-accepted',
    cause: 'the relay refuses the API',
    fix: 'see the code; for SERVICE_TOKEN_INVALID compare RELAY_SERVICE_SECRET on both sides',
  },
  RELAY_UNREACHABLE: {
    hop: 'relay-accepted',
    cause: 'the API does not reach the relay',
    fix: 'start the relay, or correct RELAY_URL of the API',
  },
  ATTEMPT_FAILED: {
    hop: 'relay-accepted',
    cause: 'the relay did not take it, and it is tried again',
    fix: 'the code says why: RELAY_UNAVAILABLE, the relay does not answer (npx groupcast doctor); BROKER_UNAVAILABLE, it cannot reach Redis',
  },
  NOT_CLAIMED: {
    hop: 'claimed',
    cause: 'it waits in the outbox for its turn',
    fix: 'ask again in a second; if it lasts, see the log of the API and groupcast_api_outbox_oldest_seconds',
  },
  EVENT_OMITTED: {
    hop: 'relay-accepted',
    cause: 'the relay has refused it for good, and event-omitted has taken its position',
    fix: 'see the code, and MAX_PAYLOAD_BYTES of both services; members find the message in the history',
  },
  NOT_PUBLISHED: {
    hop: 'published',
    cause: 'the relay has accepted it, and not brought it to the members yet',
    fix: 'ask again in a second; if it lasts, ask with a service token, which is shown more',
  },
  NOT_REMEMBERED: {
    hop: 'published',
    cause:
      'the relay has accepted it, and remembers it no more: its log has the newest events, and without Redis none from before a restart',
    fix: 'nothing is to be done: clients that lack it read it from the API when they catch up',
  },
  NOT_PROVEN: {
    hop: 'client-received',
    cause: 'it was written to connections that have not shown yet that they have read it',
    fix: 'ask again after a beat; if it lasts, the client or the network between is frozen',
  },
  NOT_WRITTEN: {
    hop: 'written',
    cause: 'it has not been written to connections that are there',
    fix: 'ask again in a second',
  },
  SLOW_CONSUMER: {
    hop: 'written',
    cause: 'recipients do not read fast enough, and were cut off or are behind',
    fix: 'they come back by themselves and recover it; see MAX_BUFFERED_BYTES if there are many',
  },
  NOT_JOINED: {
    hop: 'written',
    cause: 'recipients are connected, and not in the group on the relay',
    fix: 'their token does not name the group: let them emit join-group, or renew their token',
  },
  UNDECIDED: {
    hop: 'written',
    cause: 'the relay does not know yet whether recipients are members: it cannot ask the API',
    fix: 'check API_URL of the relay, and that the API answers',
  },
  OFFLINE: {
    hop: 'written',
    cause: 'recipients have no connection',
    fix: 'they get it when they come back (ABSENT_WEBHOOK_URL tells your service at once); if the page is open: npx groupcast monitor --user ID',
  },
  TOKEN_EXPIRED: {
    hop: 'written',
    cause: 'the tokens of recipients have expired, and were not renewed',
    fix: 'let the client answer session-ending with refresh-token, or reconnect with a new token',
  },
  REFUSED: {
    hop: 'written',
    cause: 'the relay has refused the connections of recipients',
    fix: 'see the code of each recipient',
  },
  NODE_UNREACHABLE: {
    hop: 'node-received',
    cause: 'a relay that may have recipients does not answer the others',
    fix: 'restart that relay, or check its connection to Redis',
  },
} as const satisfies Record<(typeof API_VERDICT_CODES)[number], Words> &
  Partial<Record<(typeof RELAY_VERDICT_CODES)[number], Words>>;

export type TraceCode = keyof typeof TRACE_CODES;

/** The code of a recipient who does not have it. */
export const CODE_OF_STATE = {
  written: 'NOT_PROVEN',
  pending: 'NOT_WRITTEN',
  'slow-consumer': 'SLOW_CONSUMER',
  'connected-not-joined': 'NOT_JOINED',
  undecided: 'UNDECIDED',
  offline: 'OFFLINE',
  'token-expired': 'TOKEN_EXPIRED',
  refused: 'REFUSED',
  'node-unreachable': 'NODE_UNREACHABLE',
} as const satisfies Partial<Record<RecipientState, TraceCode>>;
