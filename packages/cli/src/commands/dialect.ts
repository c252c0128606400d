import { BUILT_IN, builtInFile, loadDialectFile } from '@groupcast/dialects';
import { nearestText } from '@groupcast/shared';
import { readWords } from '../arguments.ts';
import { type Command, type CommandContext, EXIT, UsageError } from '../command.ts';
import { createPaint, printable } from '../terminal.ts';

const USAGE = `Usage: groupcast dialect check FILE… [--json]
       groupcast dialect show NAME
       groupcast dialect list [--json]

A dialect is a front end's vocabulary as a file of data: docs/dialects.md says how to
write one, and RELAY_DIALECTS and API_DIALECTS name those that are in use.
  check FILE…   names every fault on a line, with the path to it in the file, and what
                is no fault and probably not meant. Exits 1 if there is a fault
  show NAME     prints the file of a dialect that comes with Groupcast, to begin with
  list          the names of those

  --json        check: [{file, name, faults, warnings}]; list: [{name, description}]
`;

const OPTIONS = { json: 'boolean' } as const;
type Given = { json?: boolean | undefined };
type Action = (words: readonly string[], given: Given, context: CommandContext) => number;

/** Most files that are checked at once. */
const MAX_FILES = 1_000;

function advice(name: string, known: readonly string[]): string {
  const near = nearestText(name, known);
  return near ? `did you mean ${near}?` : `there are ${known.join(', ')}`;
}

const check: Action = (files, { json }, { env, stdout }) => {
  if (files.length === 0) throw new UsageError('dialect check needs a FILE');
  if (files.length > MAX_FILES) throw new UsageError(`dialect check takes ${MAX_FILES} files at most`);
  const results = files.map((file) => {
    const { dialect, faults, warnings } = loadDialectFile(file);
    return { file, name: dialect?.name, faults, warnings };
  });
  if (json) {
    stdout.write(`${JSON.stringify(results)}\n`);
  } else {
    const paint = createPaint(stdout, env);
    for (const { file, name = '', faults, warnings } of results) {
      const line = (text: string): void => void stdout.write(`${printable(file)}: ${text}\n`);
      for (const fault of faults) line(`${paint('red', 'fault')}: ${printable(fault)}`);
      for (const warning of warnings) line(`${paint('yellow', 'warning')}: ${printable(warning)}`);
      if (faults.length === 0) line(`the dialect "${name}" has no faults`);
    }
  }
  return results.some(({ faults }) => faults.length > 0) ? EXIT.failed : EXIT.ok;
};

const show: Action = ([name, ...more], { json }, { stdout }) => {
  if (name === undefined || more.length > 0)
    throw new UsageError(`dialect show needs one NAME of ${BUILT_IN.join(', ')}`);
  if (json) throw new UsageError('dialect show prints JSON; leave --json out');
  const known = BUILT_IN.find((candidate) => candidate === name);
  if (known === undefined) throw new UsageError(`there is no dialect "${printable(name)}"; ${advice(name, BUILT_IN)}`);
  stdout.write(builtInFile(known));
  return EXIT.ok;
};

const list: Action = (words, { json }, { stdout }) => {
  if (words.length > 0) throw new UsageError('dialect list takes no words');
  const dialects = BUILT_IN.map((name) => {
    const { description } = JSON.parse(builtInFile(name)) as { description: string };
    return { name, description };
  });
  if (json) stdout.write(`${JSON.stringify(dialects)}\n`);
  else for (const { name, description } of dialects) stdout.write(`${name.padEnd(20)} ${description}\n`);
  return EXIT.ok;
};

const ACTIONS: Readonly<Record<string, Action>> = { check, show, list };

export const dialect: Command = {
  usage: USAGE,
  async run(args, context) {
    const { words, options } = readWords(args, OPTIONS);
    const [name = '', ...rest] = words;
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (!action)
      throw new UsageError(
        `${name === '' ? 'dialect needs an action' : `there is no "dialect ${printable(name)}"`}; ${advice(name, Object.keys(ACTIONS))}`,
      );
    return action(rest, options, context);
  },
};
