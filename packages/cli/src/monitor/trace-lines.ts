import type { RelayTrace } from '@groupcast/shared';
import { type Paint, printable } from '../terminal.ts';

/** Recipients that are shown. */
const SHOWN_RECIPIENTS = 20;
const HAVE_IT: ReadonlySet<string> = new Set(['applied', 'received', 'proven']);

/** A trace for people: hops in order, those who do not have the message, the cause and the fix. */
export function traceLines(trace: RelayTrace, paint: Paint): string[] {
  const { hops, verdict, summary, recipients, unreachable } = trace;
  const width = Math.max(...hops.map(({ hop }) => hop.length), 0);
  const steps = hops.map(({ hop, ok, ms, node, detail }) => {
    const mark = ok ? paint('green', '✓') : paint(['bold', 'red'], '✗');
    const took = (ms === undefined ? '' : `+${Math.round(ms * 10) / 10} ms`).padStart(10);
    const where = node === undefined ? '' : paint('dim', ` (${printable(node)})`);
    return `  ${mark} ${paint('bold', hop.padEnd(width))} ${paint('dim', took)}  ${printable(detail)}${where}`;
  });
  const missing = recipients.filter(({ state }) => !HAVE_IT.has(state));
  const people = missing.slice(0, SHOWN_RECIPIENTS).map(({ userId, state, why, fix }) => {
    const todo = fix === undefined ? '' : paint('dim', ` ${printable(fix)}`);
    return `  ${paint('yellow', state)} ${paint('bold', printable(userId))}: ${printable(why)}${todo}`;
  });
  const counts = Object.entries(summary).map(([state, users]) => `${state} ${users}`);
  const style = verdict.state === 'delivered' ? 'green' : (['bold', 'red'] as const);
  return [
    ...steps,
    ...people,
    ...(missing.length > people.length ? [paint('dim', `  and ${missing.length - people.length} more`)] : []),
    ...(unreachable.length > 0 ? [paint('red', `  no answer from ${unreachable.map(printable).join(', ')}`)] : []),
    `${paint(typeof style === 'string' ? style : [...style], verdict.state)} at ${verdict.hop} ${paint('dim', printable(verdict.code))}  ${counts.join(', ')}`,
    `cause  ${printable(verdict.cause)}`,
    `fix    ${printable(verdict.fix)}`,
  ];
}
