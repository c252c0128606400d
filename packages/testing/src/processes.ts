import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { until } from './until.ts';

export interface ManagedProcess {
  readonly child: ChildProcess;
  /** Everything it wrote so far, stdout and stderr together. */
  output(): string;
  /** Resolves once `text` was written; throws with the output when it ends before. */
  wrote(text: string, timeoutMs?: number): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves with the exit code, or with the signal that ended it. */
  exited(): Promise<number | NodeJS.Signals>;
  /** Kills it. */
  stop(): Promise<void>;
}

/** On Linux, `signal` ends the child even when this process is killed: setpriv is in util-linux, on every Debian. */
export function guarded(signal: string, file: string, args: readonly string[]): [string, string[]] {
  const setpriv = '/usr/bin/setpriv';
  return existsSync(setpriv) ? [setpriv, ['--pdeathsig', signal, file, ...args]] : [file, [...args]];
}

export function manage(file: string, args: readonly string[], options: SpawnOptions): ManagedProcess {
  const [command, words] = guarded('KILL', file, args);
  const child = spawn(command, words, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    // 'close' comes after the last output was read.
    child.once('close', (code, signal) => resolve(code ?? signal ?? 1));
  });
  const gone = (): boolean => child.exitCode !== null || child.signalCode !== null;

  return {
    child,
    output: () => output,
    async wrote(text, timeoutMs = 40_000) {
      await until(
        `"${text}" from ${args.join(' ')}`,
        () => {
          if (output.includes(text)) return true;
          return gone() ? 'ended' : false;
        },
        timeoutMs,
      );
      if (!output.includes(text)) throw new Error(`${args.join(' ')} ended before it wrote "${text}":\n${output}`);
    },
    signal(signal) {
      child.kill(signal);
    },
    exited: () => ended,
    async stop() {
      if (gone()) return;
      // A stopped process takes no other signal.
      child.kill('SIGKILL');
      await ended;
    },
  };
}

export interface ProcessLimits {
  /** How many file descriptors it may have open. */
  descriptors?: number;
}

/** A Node process with exactly these variables, besides PATH. */
export function startNode(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  { descriptors }: ProcessLimits = {},
): ManagedProcess {
  const options = { env: { PATH: process.env['PATH'] ?? '', ...env } };
  if (descriptors === undefined) return manage(process.execPath, args, options);
  const limited = `ulimit -n ${descriptors} && exec "$0" "$@"`;
  return manage('/bin/sh', ['-c', limited, process.execPath, ...args], options);
}
