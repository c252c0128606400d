#!/usr/bin/env node
import { ConfigurationError, loadDotEnv } from '@groupcast/service-kit';
import { type Command, type CommandContext, CommandFailure, EXIT, UsageError } from './command.ts';

/** The commands. Each is loaded when it is asked for: they have little in common, and some bring a client of the relay. */
const COMMANDS: readonly {
  name: string;
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
    name: 'monitor-socket',
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
];

const HELP = `Usage: groupcast <command> [options]

Commands:
${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(16)} ${summary}`).join('\n')}

In the repository they run as \`npm run <command> -- [options]\`.
\`groupcast <command> --help\` shows the options of one command.
Variables come from the environment and from .env, as for the services.

Exit codes: 0 all well, 1 it failed, 2 wrong usage, 78 wrong configuration;
those of doctor are in its help.
`;

async function loadCommand(name: string): Promise<Command> {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command) return command.load();
  const names = COMMANDS.map((candidate) => candidate.name).join(', ');
  throw new UsageError(`unknown command "${name}"; there are ${names} (see --help)`);
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
    if (COMMANDS.some(({ name }) => name === commandName)) {
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

// `| head` closes the pipe: no reason to fail, and nothing left to say.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed),
);

const args = process.argv.slice(2);
try {
  loadDotEnv();
  const { env, stdout, stderr } = process;
  process.exitCode = await run(args, { env, stdout, stderr, stopped: listenForStop() });
} catch (error) {
  process.exitCode = report(error, args[0]);
}
// A peer that is frozen ends no connection, and a command that is done waits for none.
setTimeout(() => process.exit(), LINGER_MS).unref();
