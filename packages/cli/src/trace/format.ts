import { hasReached, type RecipientState, type RelayTrace, type TraceRecipient } from '@groupcast/shared';
import { type Paint, printable, type Style } from '../terminal.ts';

/** One message on its way, as the API or a relay answers it. */
export type Trace = Pick<RelayTrace, 'hops' | 'verdict' | 'summary' | 'recipients' | 'unreachable' | 'next'>;

/** Most recipients that are listed. */
export const SHOWN_RECIPIENTS = 20;

const VERDICT_STYLES: Readonly<Record<Trace['verdict']['state'], Style>> = {
  delivered: 'green',
  partly: 'yellow',
  stopped: 'red',
};

export const hasIt = ({ state }: Pick<TraceRecipient, 'state'>): boolean => hasReached(state);

/** Recipients who do not have it. */
export function missingIn(summary: Trace['summary']): number {
  const states = Object.entries(summary) as [RecipientState, number][];
  return states.reduce((total, [state, users]) => total + (hasReached(state) ? 0 : users), 0);
}

const widest = (texts: readonly string[]): number => Math.max(0, ...texts.map(({ length }) => length));

/** The time of day of an ISO text, as the server's clock has it. */
const timeOf = (at: string | undefined): string => (at === undefined ? '' : printable(at.slice(11, 24)));

function hopLines({ hops, verdict }: Trace, paint: Paint): string[] {
  const times = hops.map(({ at }) => timeOf(at));
  const elapsed = hops.map(({ ms }) => (ms === undefined ? '' : `+${Math.round(ms * 10) / 10} ms`));
  const [nameWidth, timeWidth, elapsedWidth] = [widest(hops.map(({ hop }) => hop)), widest(times), widest(elapsed)];
  // Not every client says what is on its screen.
  const isDelivered = verdict.state === 'delivered';
  const [mark, style]: [string, Style | Style[]] = isDelivered ? ['–', 'dim'] : ['✗', ['bold', 'red']];
  return hops.map(({ hop, ok, node, detail }, index) => {
    // Stock clients say nothing about what they have shown.
    const [sign, how]: [string, Style | Style[]] = hop === 'client-applied' ? ['–', 'dim'] : [mark, style];
    const columns = [
      ok ? paint('green', '✓') : paint(how, sign),
      paint(ok ? 'bold' : how, printable(hop).padEnd(nameWidth)),
      ...(timeWidth > 0 ? [paint('dim', (times[index] ?? '').padEnd(timeWidth))] : []),
      ...(elapsedWidth > 0 ? [paint('dim', (elapsed[index] ?? '').padStart(elapsedWidth))] : []),
      printable(detail),
      ...(node === undefined ? [] : [paint('dim', `(${printable(node)})`)]),
    ];
    return `  ${columns.join('  ')}`.trimEnd();
  });
}

function recipientLines(missing: readonly TraceRecipient[], count: number, paint: Paint): string[] {
  const shown = missing.slice(0, SHOWN_RECIPIENTS);
  const userWidth = Math.min(40, widest(shown.map(({ userId }) => userId)));
  const stateWidth = widest(shown.map(({ state }) => state));
  const lines = shown.map(({ userId, state, why, code, node }) => {
    const reason = code === undefined ? printable(why) : `${printable(why)} ${paint('bold', printable(code))}`;
    const place = node === undefined ? '' : ` ${paint('dim', `(${printable(node)})`)}`;
    const name = printable(userId).padEnd(userWidth);
    return `  ${name}  ${paint('yellow', printable(state).padEnd(stateWidth))}  ${reason}${place}`;
  });
  const rest = count - shown.length;
  return rest > 0 ? [...lines, paint('dim', `  and ${rest} more`)] : lines;
}

function summaryLine(summary: Trace['summary']): string {
  const states = Object.entries(summary).map(([state, users]) => `${printable(state)} ${users}`);
  return states.length === 0 ? 'no recipients' : states.join(', ');
}

/** The lines for people: `title`, the hops, those who do not have it, the summary and, at the end, what is wrong and what to do. */
export function formatTrace(title: string, trace: Trace, missing: readonly TraceRecipient[], paint: Paint): string[] {
  const { verdict, summary, unreachable } = trace;
  const count = Math.max(missing.length, missingIn(summary));
  const head = paint(['bold', VERDICT_STYLES[verdict.state]], verdict.state);
  const where = verdict.state === 'delivered' ? '' : ` at ${printable(verdict.hop)}`;
  return [
    paint('bold', printable(title)),
    '',
    ...hopLines(trace, paint),
    ...(unreachable.length > 0 ? ['', paint('red', `no answer from ${unreachable.map(printable).join(', ')}`)] : []),
    ...(count > 0 ? ['', ...recipientLines(missing, count, paint)] : []),
    '',
    `${head}${where} ${paint('dim', printable(verdict.code))}   ${summaryLine(summary)}`,
    `${paint('dim', 'cause')}  ${printable(verdict.cause)}`,
    `${paint('dim', 'fix')}    ${printable(verdict.fix)}`,
  ];
}
