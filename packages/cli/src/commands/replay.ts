import { diagnose } from '@groupcast/client/doctor/diagnose';
import type { DoctorReport } from '@groupcast/shared';
import { readWords } from '../arguments.ts';
import { type Command, EXIT, UsageError } from '../command.ts';
import { readReport } from '../replay/read-report.ts';
import { type GroupReplay, replayReport } from '../replay/replay-report.ts';
import { createPaint, type Paint, printable } from '../terminal.ts';

const USAGE = `Usage: groupcast replay REPORT [--json]

Plays the events of a page, by id and position, through the inbox of the client, and
says for each group what it accepted, dropped as a duplicate and held for a gap, and
whether the page saw what the inbox would have shown. REPORT is a file with what
"Copy report" of @groupcast/client/doctor has copied; there is no content in it.

  --json   {ok, verdict, report: {at, origin, source, events, eventsLeftOut},
           groups: [{groupId, accepted, duplicates, held, missing, lag, differences}]}

Exits 0 when the page saw the same and nothing is missing, 1 otherwise, and 2 where the
file is no report.
`;

const OPTIONS = { json: 'boolean' } as const;

const isWell = ({ differences, lag, held }: GroupReplay): boolean =>
  differences.length === 0 && held.length === 0 && (lag === 'none' || lag === 'unopened');

/** Numbers, as `3 held for a gap (43-45)`. */
function counted(numbers: readonly number[], what: string): string {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else runs.push([number, number]);
  }
  return `${numbers.length} ${what}${runs.length > 0 ? ` (${inWords(runs)})` : ''}`;
}

const inWords = (runs: readonly (readonly [number, number])[]): string =>
  runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(', ');

function describe(group: GroupReplay, paint: Paint): string {
  const { groupId, accepted, duplicates, held, missing, lag, differences } = group;
  const facts = [
    counted(accepted, 'accepted'),
    counted(duplicates, 'dropped as duplicates'),
    counted(held, lag === 'epoch' ? 'held, of an epoch that only the API can judge' : 'held for a gap'),
    ...(missing.length > 0 ? [`missing ${inWords(missing)}`] : []),
  ];
  const page =
    differences.length === 0
      ? paint('green', 'the page saw the same')
      : `${paint('red', 'the page saw something else')}: ${differences.join('; ')}`;
  return `group ${groupId}: ${facts.join(', ')}\n  ${page}\n`;
}

function heading({ at, page, source, events, eventsLeftOut }: DoctorReport): string {
  const from = source === 'client' ? 'the SDK' : 'a socket of its own';
  const older = eventsLeftOut > 0 ? `; ${eventsLeftOut} older ones are not in it` : '';
  return printable(`${page.origin || 'a page'} with ${from}, ${at}: ${events.length} events${older}`);
}

export const replay: Command = {
  usage: USAGE,
  async run(args, { env, stdout }) {
    const { words, options } = readWords(args, OPTIONS);
    const [file, ...more] = words;
    if (file === undefined || more.length > 0) throw new UsageError('replay needs one REPORT');
    const report = readReport(file);
    const groups = replayReport(report);
    const verdict = diagnose(report);
    const ok = groups.every(isWell);
    if (options.json) {
      const { at, page, source, events, eventsLeftOut } = report;
      const about = { at, origin: page.origin, source, events: events.length, eventsLeftOut };
      stdout.write(`${JSON.stringify({ ok, verdict, report: about, groups })}\n`);
    } else {
      const paint = createPaint(stdout, env);
      stdout.write(`${heading(report)}\n${printable([verdict.cause, verdict.fix].join(' ').trim())}\n`);
      for (const group of groups) stdout.write(describe(group, paint));
      if (groups.length === 0) stdout.write('the page has heard of no group\n');
    }
    return ok ? EXIT.ok : EXIT.failed;
  },
};
