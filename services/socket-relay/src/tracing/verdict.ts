import {
  type Hop,
  hasReached,
  nameIn,
  type RELAY_VERDICT_CODES,
  type RecipientState,
  type TraceRecipient,
  type TraceSummary,
  type TraceVerdict,
} from '@groupcast/shared';

interface Fault {
  hop: Hop;
  code: (typeof RELAY_VERDICT_CODES)[number];
  cause: string;
  fix: string;
}

const OF_ABSENT = 'it gets the event when it comes back; if the page is open: npx groupcast monitor --user ID';

/** The hop at which an event stands still for a user in this state, and what to call that. */
const OF_STATE: Readonly<
  Record<Exclude<RecipientState, 'applied' | 'received' | 'proven'>, Omit<Fault, 'cause' | 'fix'>>
> = {
  written: { hop: 'client-received', code: 'NOT_PROVEN' },
  pending: { hop: 'written', code: 'NOT_WRITTEN' },
  'slow-consumer': { hop: 'written', code: 'SLOW_CONSUMER' },
  'connected-not-joined': { hop: 'written', code: 'NOT_JOINED' },
  undecided: { hop: 'written', code: 'UNDECIDED' },
  offline: { hop: 'written', code: 'OFFLINE' },
  'token-expired': { hop: 'written', code: 'TOKEN_EXPIRED' },
  refused: { hop: 'written', code: 'REFUSED' },
  'node-unreachable': { hop: 'node-received', code: 'NODE_UNREACHABLE' },
};

export function summaryOf(recipients: readonly Pick<TraceRecipient, 'state'>[]): TraceSummary {
  const summary: TraceSummary = {};
  for (const { state } of recipients) summary[state] = (summary[state] ?? 0) + 1;
  return summary;
}

/** Chooses the state in which most of those are whom the event has not reached, and says what holds it up there. */
export function judgeRecipients(recipients: readonly TraceRecipient[]): TraceVerdict {
  const missing = recipients.filter(({ state }) => !hasReached(state));
  const reached = recipients.length - missing.length;
  if (missing.length === 0) {
    const cause = `all ${recipients.length} have it`;
    return { state: 'delivered', hop: 'client-received', code: 'DELIVERED', cause, fix: 'nothing is to be done' };
  }
  const counts = summaryOf(missing);
  const [most] = Object.entries(counts).toSorted(([, a], [, b]) => b - a) as [RecipientState, number][];
  const example = missing.find(({ state }) => state === most?.[0]);
  const of = OF_STATE[example?.state as keyof typeof OF_STATE];
  const many =
    missing.length === 1
      ? `user ${example?.userId}`
      : `${most?.[1]} of ${recipients.length} users, such as ${example?.userId}`;
  return {
    state: reached > 0 ? 'partly' : 'stopped',
    ...of,
    cause: `${many}: ${example?.why}`,
    fix: example?.fix ?? nameIn(OF_ABSENT, 'user', example?.userId ?? ''),
  };
}
