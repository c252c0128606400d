#!/usr/bin/env node
import { ConfigurationError, loadDotEnv } from '@groupcast/service-kit';
import { type Command, type CommandContext, CommandFailure, EXIT, UsageError } from './command.ts';
import { dialect } from './commands/dialect.ts';
import { doctor } from './commands/doctor.ts';
import { monitorSocket } from './commands/monitor-socket.ts';
import { replay } from './commands/replay.ts';
import { testBroadcast } from './commands/test-broadcast.ts';
import { token } from './commands/token.ts';
import { trace } from './commands/trace.ts';

const COMMANDS: readonly Command[] = [doctor, trace, monitorSocket, testBroadcast, token, dialect, replay];

const HELP = `Usage: groupcast <command> [options]

Commands:
${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(16)} ${summary}`).join('\n')}

In the repository they run as \`npm run <command> -- [options]\`.
\`groupcast <command> --help\` shows the options of one command.
Variables come from the environment and from .env, as for the services.

Exit codes: 0 all well, 1 it failed, 2 wrong usage, 78 wrong configuration;
those of doctor are in its help.
`;

function findCommand(name: string): Command {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command) return command;
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
  const command = findCommand(name);
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
