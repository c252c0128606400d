import type { Paint } from '../terminal.ts';
import type { Finding, Outcome } from './hops.ts';
import type { WalkReport } from './walk.ts';

const MARKS: Readonly<Record<Outcome['state'], readonly [mark: string, colour: 'green' | 'red' | 'dim']>> = {
  ok: ['✓', 'green'],
  failed: ['✗', 'red'],
  skipped: ['–', 'dim'],
};

/** The object that `--json` prints. A hop that was skipped says nothing, neither that it is well nor that it is not. */
export function jsonReport({ findings, fault }: Pick<WalkReport, 'findings' | 'fault'>): object {
  const tested = findings.filter(({ outcome }) => outcome.state !== 'skipped');
  const left = findings.filter(({ outcome }) => outcome.state === 'skipped');
  return {
    ok: fault === undefined,
    hops: tested.map(({ hop, ms, outcome }) => ({ hop, ok: outcome.state === 'ok', ms, detail: outcome.detail })),
    skipped: left.map(({ hop, outcome }) => ({ hop, why: outcome.detail })),
    ...(fault ? { fault } : {}),
  };
}

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;

function line({ hop, ms, outcome }: Finding, paint: Paint): string {
  const [mark, colour] = MARKS[outcome.state];
  const time = outcome.state === 'skipped' ? '' : `${ms} ms`;
  const text = `${paint(colour, mark)} ${hop.padEnd(17)} ${time.padStart(8)}  ${outcome.detail}`;
  return outcome.state === 'skipped' ? paint('dim', text) : text;
}

/** One line a hop, then one fault and one fix. That all is well is said of what was named, and of nothing else. */
export function formatWalk({ findings, fault, relays, nodes }: WalkReport, paint: Paint): string {
  const lines = findings.map((finding) => line(finding, paint));
  if (!fault) {
    const of = [count(relays, 'relay'), ...(nodes > 0 ? [count(nodes, 'internal port')] : [])].join(', ');
    const well = `${paint(['bold', 'green'], 'all is well')}, for what was looked at: ${of}`;
    return `${lines.join('\n')}\n\n${well}\n`;
  }
  return `${lines.join('\n')}

${paint(['bold', 'red'], `fault at ${fault.hop}: ${fault.code}`)}
  cause: ${fault.cause}
  fix:   ${fault.fix}
`;
}
