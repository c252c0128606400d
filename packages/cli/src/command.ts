/** Exit codes of the commands, for scripts. */
export const EXIT = {
  ok: 0,
  /** The command ran, and what it checked is wrong or could not be reached. */
  failed: 1,
  /** An unknown command or option, or a value that it cannot take. */
  usage: 2,
  /** EX_CONFIG, as in the services: a variable of the environment is wrong. */
  configuration: 78,
  /** Stopped by Ctrl-C before the end. */
  interrupted: 130,
} as const;

/** Where lines go: `process.stdout` and `process.stderr`, or what a test puts in their place. */
export interface TextSink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Environment variables, as `process.env` has them. */
export type Variables = Readonly<Record<string, string | undefined>>;

export interface CommandContext {
  env: Variables;
  /** Results only, so that a pipe reads nothing else. */
  stdout: TextSink;
  /** Notices, progress and errors. */
  stderr: TextSink;
  /** Aborts at SIGINT and SIGTERM; a command then cleans up and returns. */
  stopped: AbortSignal;
}

export interface Command {
  /** The output of `--help`. */
  usage: string;
  /** Resolves with the exit code. Throws `UsageError`, `CommandFailure` or `ConfigurationError` for people to read. */
  run(args: string[], context: CommandContext): Promise<number>;
}

/** The command line itself is wrong. Exits 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** An expected failure, said in one line with its fix. Exits 1, without a stack. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
}
