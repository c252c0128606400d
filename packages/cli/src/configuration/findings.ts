import type { ServiceName } from '../programs/places.ts';

/** One problem of a service's configuration, as the service would name it. */
export interface Problem {
  code: string;
  text: string;
}

/** Everything that the services say about their configuration; the same thing said by both is there once. */
export interface Findings {
  ok: boolean;
  problems: { code: string; variable: string; message: string; services: ServiceName[] }[];
  warnings: { message: string; services: ServiceName[] }[];
}

export type Reading = { service: ServiceName; problems: readonly Problem[]; warnings: readonly string[] };

/** A text begins with its variable. */
function variableOf(text: string): string {
  return /^[A-Z][A-Z0-9_]*/.exec(text)?.[0] ?? '';
}

export function findingsOf(readings: readonly Reading[]): Findings {
  const problems = new Map<string, Findings['problems'][number]>();
  const warnings = new Map<string, Findings['warnings'][number]>();
  for (const { service, ...said } of readings) {
    for (const { code, text } of said.problems) {
      const known = problems.get(text) ?? { code, variable: variableOf(text), message: text, services: [] };
      problems.set(text, { ...known, services: [...new Set([...known.services, service])] });
    }
    for (const message of said.warnings) {
      const known = warnings.get(message) ?? { message, services: [] };
      warnings.set(message, { ...known, services: [...new Set([...known.services, service])] });
    }
  }
  return { ok: problems.size === 0, problems: [...problems.values()], warnings: [...warnings.values()] };
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** For people: a line for each, then how many there are. */
export function formatFindings({ ok, problems, warnings }: Findings, services: readonly ServiceName[]): string {
  const width = Math.max(0, ...problems.map(({ code }) => code.length));
  const by = (named: readonly ServiceName[]): string => `(${named.join(', ')})`;
  const lines = [
    ...problems.map((problem) => `✗ ${problem.code.padEnd(width)}  ${problem.message} ${by(problem.services)}`),
    ...warnings.map((warning) => `! ${warning.message} ${by(warning.services)}`),
  ];
  const whose = `the configuration of ${services.join(' and ')}`;
  const also = warnings.length > 0 ? `, ${counted(warnings.length, 'warning')}` : '';
  lines.push(ok ? `✓ ${whose} is valid${also}` : `${counted(problems.length, 'problem')}${also} in ${whose}`);
  return `${lines.join('\n')}\n`;
}
