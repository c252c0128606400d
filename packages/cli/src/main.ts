#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { ConfigurationError, loadDotEnv } from '@groupcast/service-kit';
import { nearestText } from '@groupcast/shared';
import { type Command, type CommandContext, CommandFailure, EXIT, UsageError } from './command.ts';
import { PROGRAMS, type Program } from './programs/programs.ts';
import { stopWithNpx } from './programs/stop-with-npx.ts';

/** The commands. Each is loaded when it is asked for: they have little in common, and some bring a client of the relay. */
const COMMANDS: readonly {
  name: string;
  /** Another name, by which some know it. */
  alias?: string;
  /** One line of the overall help. */
  summary: string;
  load: () => Promise<Command>;
}[] = [
  {
    name: 'doctor',
    summary: 'walk the hops with a canary, and name the one that fails',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  {
    name: 'trace',
    summary: 'say where one message is, for whom, and why',
    load: async () => (await import('./commands/trace.ts')).trace,
  },
  {
    name: 'monitor',
    alias: 'monitor-socket',
    summary: 'show every connection, join, broadcast and warning, live',
    load: async () => (await import('./commands/monitor-socket.ts')).monitorSocket,
  },
  {
    name: 'test-broadcast',
    summary: 'send messages to real receivers; latencies, lost, duplicated, out of order',
    load: async () => (await import('./commands/test-broadcast.ts')).testBroadcast,
  },
  {
    name: 'token',
    summary: 'print a user token or a service token',
    load: async () => (await import('./commands/token.ts')).token,
  },
  {
    name: 'dialect',
    summary: 'check a vocabulary of a front end; show those that come with Groupcast',
    load: async () => (await import('./commands/dialect.ts')).dialect,
  },
  {
    name: 'replay',
    summary: 'play what a page has seen (a report of its doctor) through the client’s inbox',
    load: async () => (await import('./commands/replay.ts')).replay,
  },
  {
    name: 'check-config',
    summary: 'read the configuration as the services do; say everything that is wrong with it',
    load: async () => (await import('./commands/check-config.ts')).checkConfig,
  },
];
const NAMES = [...PROGRAMS, ...COMMANDS].map(({ name }) => name);

const HELP = `Usage: groupcast <command> [options]

Commands:
${[...PROGRAMS, ...COMMANDS].map(({ name, summary }) => `  ${name.padEnd(16)} ${summary}`).join('\n')}

\`groupcast <command> --help\` shows the options of one command, \`groupcast --version\` the version.
Variables come from the environment and from .env, as for the services.

Exit codes: 0 all well, 1 it failed, 2 wrong usage, 78 wrong configuration;
those of doctor are in its help.
`;

function versionOf(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}

async function loadCommand(name: string): Promise<Command> {
  const command = COMMANDS.find((candidate) => candidate.name === name || candidate.alias === name);
  if (command) return command.load();
  const near = nearestText(name, NAMES);
  const advice = near === undefined ? '' : `; did you mean "${near}"?`;
  throw new UsageError(`unknown command "${name}"${advice || `; there are ${NAMES.join(', ')}`} (see --help)`);
}

async function run(args: string[], context: CommandContext): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined) {
    context.stderr.write(HELP);
    return EXIT.usage;
  }
  if (name === '--help' || name === '-h') {
    context.stdout.write(HELP);
    return EXIT.ok;
  }
  if (name === '--version') {
    context.stdout.write(`${versionOf()}\n`);
    return EXIT.ok;
  }
  const command = await loadCommand(name);
  if (rest.includes('--help') || rest.includes('-h')) {
    context.stdout.write(command.usage);
    return EXIT.ok;
  }
  return command.run(rest, context);
}

function report(error: unknown, commandName: string | undefined): number {
  if (error instanceof UsageError) {
    process.stderr.write(`groupcast: ${error.message}\n`);
    if (NAMES.some((name) => name === commandName)) {
      process.stderr.write(`see groupcast ${commandName} --help\n`);
    }
    return EXIT.usage;
  }
  if (error instanceof ConfigurationError) {
    process.stderr.write(`${error.message}\n`);
    return EXIT.configuration;
  }
  const text = error instanceof CommandFailure ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`groupcast: ${text}\n`);
  return EXIT.failed;
}

/** How long the connections of a command that is done may end by themselves, in milliseconds. */
const LINGER_MS = 2_000;

/** The first signal lets the command clean up, the second one does not wait for it. */
function listenForStop(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(EXIT.interrupted);
      stop.abort();
    });
  }
  return stop.signal;
}

/** A command has an end, and its exit code is what it returns. */
async function runCommand(args: string[]): Promise<void> {
  // `| head` closes the pipe: no reason to fail, and nothing left to say.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed),
  );
  const { env, stdout, stderr } = process;
  process.exitCode = await run(args, { env, stdout, stderr, stopped: listenForStop() });
}

async function runProgram(program: Program): Promise<void> {
  const parent = process.ppid;
  await program.run(process.env);
  stopWithNpx(process.env, parent);
}

const args = process.argv.slice(2);
const program = PROGRAMS.find(({ name }) => name === args[0]);
// A program that was asked for its help, or that was given a word it does not take, does not begin.
const [word] = args.slice(1);
try {
  loadDotEnv();
  if (program && word === undefined) await runProgram(program);
  else if (program && (args.includes('--help') || args.includes('-h'))) process.stdout.write(program.usage);
  else if (program) throw new UsageError(`${program.name} takes no options, got "${word}"; its settings are variables`);
  else await runCommand(args);
} catch (error) {
  process.exitCode = report(error, args[0]);
}
// A peer that is frozen ends no connection, and a command that is done waits for none.
if (!program) setTimeout(() => process.exit(), LINGER_MS).unref();
