import {
  type Hop,
  RECIPIENT_STATES,
  type RelayTrace,
  type TraceHop,
  type TraceSummary,
  type TraceVerdict,
} from '@groupcast/shared';
import { causeOf, fixOf, isDispatched, type OwnOutbox, type Stop, stopInOutbox } from './outbox-hop.ts';
import type { Facts } from './recipients.ts';
import { CODE_OF_STATE, DELIVERED_STATES, TRACE_CODES, type TraceCode } from './trace-codes.ts';
import type { TracedMessage } from './trace-store.ts';

/** The hops of which the API knows by the cursors of recipients; those between come from the relays. */
const OF_CLIENTS: ReadonlySet<Hop> = new Set(['client-received', 'client-applied']);
/** Hops of the relays that say nothing of who is connected. */
const OF_NOBODY: ReadonlySet<Hop> = new Set(['relay-accepted', 'published']);

const hasPassed = (trace: RelayTrace, hop: Hop): boolean => trace.hops.some((each) => each.hop === hop && each.ok);

/** The reason why the message has not left the outbox; undefined where it has. */
export function stopBeforeRelay(
  message: TracedMessage,
  own: OwnOutbox,
  answer: Facts['answer'],
): Stop | undefined {
  if (message.omittedCode !== undefined) return { code: 'EVENT_OMITTED', detail: message.omittedCode };
  const isAccepted = answer.kind === 'answered' && hasPassed(answer.trace, 'relay-accepted');
  return isAccepted || isDispatched(message, own) ? undefined : stopInOutbox(message, own);
}

export function countIn(summary: TraceSummary, states: (state: keyof TraceSummary) => boolean): number {
  return RECIPIENT_STATES.reduce((total, state) => total + (states(state) ? (summary[state] ?? 0) : 0), 0);
}

function elapsed(from: string | undefined, to: string | undefined): number | undefined {
  return from === undefined || to === undefined ? undefined : Math.max(0, Date.parse(to) - Date.parse(from));
}

/** Those who see everything: the others are not shown nodes, counts of connections, and words of relays. */
interface View {
  isOperator: boolean;
}

function hopsOfRelay(message: TracedMessage, { answer, stop }: Facts, { isOperator }: View): TraceHop[] {
  if (stop) {
    const { hop } = TRACE_CODES[stop.code];
    if (hop === 'claimed') return [];
    return [{ hop: 'relay-accepted', ok: false, detail: causeOf(stop, isOperator) }];
  }
  if (answer.kind === 'silent') {
    const accepted = { hop: 'relay-accepted', ok: true, detail: 'the relay has accepted it' } as const;
    return [accepted, { hop: 'published', ok: false, detail: `it is not known: ${causeOf(answer.stop, isOperator)}` }];
  }
  const hops = answer.trace.hops.filter(({ hop }) => !OF_CLIENTS.has(hop));
  const savedAt = message.createdAt.toISOString();
  return hops
    .filter(({ hop }) => isOperator || OF_NOBODY.has(hop))
    .map(({ hop, ok, at, ms, node, count, detail }) => {
      const since = hop === 'relay-accepted' ? (ms ?? elapsed(savedAt, at)) : ms;
      const time = { ...(at === undefined ? {} : { at }), ...(since === undefined ? {} : { ms: since }) };
      if (!isOperator) return { hop, ok, ...time, detail: ok ? 'it has passed' : 'it has not passed' };
      const place = { ...(node === undefined ? {} : { node }), ...(count === undefined ? {} : { count }) };
      return { hop, ok, ...time, ...place, detail };
    });
}

/** The hops of a message, as far as it came: the one that it did not pass is the last of them, or one at which it is for some. */
export function hopsOf(
  message: TracedMessage,
  facts: Facts,
  { summary, total }: { summary: TraceSummary; total: number },
  view: View,
): TraceHop[] {
  const { stop } = facts;
  const at = message.createdAt.toISOString();
  const isClaimed = !stop || TRACE_CODES[stop.code].hop !== 'claimed';
  const hops: TraceHop[] = [
    { hop: 'saved', ok: true, at, detail: `saved at position ${message.seq} of group "${message.groupId}"` },
    {
      hop: 'claimed',
      ok: isClaimed,
      detail: stop && !isClaimed ? causeOf(stop, view.isOperator) : 'a dispatcher has brought it to the relay’s door',
    },
    ...hopsOfRelay(message, facts, view),
  ];
  const have = countIn(summary, (state) => DELIVERED_STATES.has(state));
  if (total === 0 || (have === 0 && hops.some(({ ok }) => !ok))) return hops;
  const applied = summary.applied ?? 0;
  hops.push({ hop: 'client-received', ok: have === total, count: have, detail: `${have} of ${total} have it` });
  if (have === 0) return hops;
  return [
    ...hops,
    { hop: 'client-applied', ok: applied === total, count: applied, detail: `${applied} of ${total} have said so` },
  ];
}

/** The state of most recipients who do not have it. */
function mostCommon(summary: TraceSummary): keyof typeof CODE_OF_STATE {
  const states = Object.keys(CODE_OF_STATE) as (keyof typeof CODE_OF_STATE)[];
  return states.toSorted((a, b) => (summary[b] ?? 0) - (summary[a] ?? 0))[0] ?? 'pending';
}

function verdictOf(state: TraceVerdict['state'], stop: Stop, { isOperator }: View, hop?: Hop): TraceVerdict {
  const { code } = stop;
  return { state, hop: hop ?? TRACE_CODES[code].hop, code, cause: causeOf(stop, isOperator), fix: fixOf(stop, isOperator) };
}

const of = (count: number, total: number): string => `${count} of ${total}`;

function verdictOfMissing(summary: TraceSummary, total: number, have: number, view: View): TraceVerdict {
  const state = mostCommon(summary);
  const code: TraceCode = CODE_OF_STATE[state];
  const verdict = verdictOf(have > 0 ? 'partly' : 'stopped', { code }, view);
  return { ...verdict, cause: `${of(total - have, total)} do not have it, and of most of them: ${verdict.cause}` };
}

/** The verdict about all recipients. A hop that stops everybody comes before the states of each. */
export function judge(
  { answer, stop }: Facts,
  { summary, total }: { summary: TraceSummary; total: number },
  view: View,
): TraceVerdict {
  const have = countIn(summary, (state) => DELIVERED_STATES.has(state));
  if (total > 0 && have === total) {
    const hop = summary.applied === total ? 'client-applied' : 'client-received';
    return verdictOf('delivered', { code: 'DELIVERED' }, view, hop);
  }
  if (stop) return verdictOf(have > 0 ? 'partly' : 'stopped', stop, view);
  if (answer.kind === 'silent') {
    // It has accepted the message before.
    if (total > 0) return verdictOf(have > 0 ? 'partly' : 'stopped', answer.stop, view, 'published');
  } else {
    const failed = answer.trace.hops.find(({ hop, ok }) => !ok && OF_NOBODY.has(hop));
    const byNode = answer.trace.hops.find(({ hop, ok }) => !ok && hop === 'node-received');
    const { verdict } = answer.trace;
    if ((failed || byNode) && have === 0 && view.isOperator && verdict.state === 'stopped') return verdict;
    if (failed && have === 0) return verdictOf('stopped', { code: 'NOT_PUBLISHED' }, view);
  }
  if (total === 0) return verdictOf('delivered', { code: 'NO_RECIPIENTS' }, view);
  return verdictOfMissing(summary, total, have, view);
}

export function notARecipient(): TraceVerdict {
  return verdictOf('stopped', { code: 'NOT_A_RECIPIENT' }, { isOperator: false });
}
