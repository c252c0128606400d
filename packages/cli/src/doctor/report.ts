import type { Paint } from '../terminal.ts';
import type { Finding, Outcome } from './hops.ts';
import type { WalkReport } from './walk.ts';

const MARKS: Readonly<Record<Outcome['state'], readonly [mark: string, colour: 'green' | 'red' | 'dim']>> = {
  ok: ['✓', 'green'],
  failed: ['✗', 'red'],
  skipped: ['–', 'dim'],
};

/** The object that `--json` prints. A hop that was skipped says nothing, neither that it is well nor that it is not. */
export function jsonReport({ findings, fault }: WalkReport): object {
  const tested = findings.filter(({ outcome }) => outcome.state !== 'skipped');
  const left = findings.filter(({ outcome }) => outcome.state === 'skipped');
  return {
    ok: fault === undefined,
    hops: tested.map(({ hop, ms, outcome }) => ({ hop, ok: outcome.state === 'ok', ms, detail: outcome.detail })),
    skipped: left.map(({ hop, outcome }) => ({ hop, why: outcome.detail })),
    ...(fault ? { fault } : {}),
  };
}

function line({ hop, ms, outcome }: Finding, paint: Paint): string {
  const [mark, colour] = MARKS[outcome.state];
  const time = outcome.state === 'skipped' ? '' : `${ms} ms`;
  const text = `${paint(colour, mark)} ${hop.padEnd(17)} ${time.padStart(8)}  ${outcome.detail}`;
  return outcome.state === 'skipped' ? paint('dim', text) : text;
}

/** One line a hop, then one fault and one fix. */
export function formatWalk({ findings, fault }: WalkReport, paint: Paint): string {
  const lines = findings.map((finding) => line(finding, paint));
  if (!fault) return `${lines.join('\n')}\n\n${paint(['bold', 'green'], 'all is well')}\n`;
  return `${lines.join('\n')}

${paint(['bold', 'red'], `fault at ${fault.hop}: ${fault.code}`)}
  cause: ${fault.cause}
  fix:   ${fault.fix}
`;
}
