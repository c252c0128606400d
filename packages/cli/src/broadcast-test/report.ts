import type { LatencySummary } from '../latency.ts';
import { type Paint, printable } from '../terminal.ts';
import type { TallyResult } from './delivery-tally.ts';
import type { TestOptions } from './options.ts';

/** The output of `--json`; its fields are described in `test-broadcast --help`. */
export interface TestReport extends TallyResult {
  ok: boolean;
  via: TestOptions['via'];
  transport: TestOptions['transport'];
  groupId: string;
  receivers: number;
  messages: number;
  expectedDeliveries: number;
  firstError: { code: string; message: string } | null;
  disconnects: number;
  lastDisconnect: string | null;
  latencyMs: LatencySummary | null;
  rate: { asked: number; actual: number | null };
  durationMs: number;
  toolLoad: number;
}

/** The tool shares its thread with the receivers: above this share of busy time, its own queue is in the latencies. */
const BUSY = 0.8;
/** Below this share of the rate that was asked for, the sends were held up. */
const SLOW = 0.95;

function count(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? '' : 's'}`;
}

function warnings(report: TestReport): string[] {
  const { rate, disconnects, lastDisconnect, unpositioned, firstError, toolLoad } = report;
  const lines: string[] = [];
  if (firstError) lines.push(`first failed send: ${firstError.code}: ${firstError.message}`);
  if (disconnects > 0)
    lines.push(`receivers lost their connection ${count(disconnects, 'time')}, last because of: ${lastDisconnect}`);
  if (unpositioned > 0) lines.push(`deliveries without a position, whose order cannot be judged: ${unpositioned}`);
  if (rate.actual !== null && rate.actual < rate.asked * SLOW) {
    lines.push(`sent at ${rate.actual}/s, not ${rate.asked}/s: too many sends were unanswered at once`);
  }
  if (toolLoad > BUSY) {
    lines.push(`this tool was busy ${Math.round(toolLoad * 100)} % of the time: the latencies include its own queue`);
  }
  return lines;
}

/** The report for people. */
export function formatReport(report: TestReport, paint: Paint): string {
  const { latencyMs, rate, expectedDeliveries, lost } = report;
  // A send without an answer in time may have worked all the same.
  const unasked = report.deliveries - (expectedDeliveries - lost);
  const surplus = unasked > 0 ? `, and ${unasked} of messages whose send failed` : '';
  const row = (name: string, text: string): string => `  ${paint('dim', name.padEnd(12))}${text}`;
  const zero = (name: string, value: number): string =>
    value === 0 ? `${name} 0` : paint(['bold', 'red'], `${name} ${value}`);
  const latency = latencyMs
    ? (['p50', 'p95', 'p99', 'max'] as const)
        .map((key) => `${paint('dim', key)} ${latencyMs[key].toFixed(1)} ms`)
        .join('   ')
    : 'none';
  const counts = [
    zero('lost', lost),
    zero('duplicated', report.duplicated),
    zero('out of order', report.outOfOrder),
    zero('failed sends', report.failedSends),
  ];
  const actual = rate.actual === null ? '' : `${rate.actual}/s, `;
  return [
    `${count(report.messages, 'message')} via ${report.via} to ${count(report.receivers, 'receiver')} (${report.transport})`,
    row('latency', latency),
    row('deliveries', `${expectedDeliveries - lost} of ${expectedDeliveries}${surplus}`),
    row('faults', counts.join(', ')),
    row('rate', `${actual}asked for ${rate.asked}/s`),
    ...warnings(report).map((text) => `  ${paint('yellow', '!')} ${printable(text)}`),
    report.ok ? paint(['bold', 'green'], 'ok') : paint(['bold', 'red'], 'failed'),
    '',
  ].join('\n');
}
