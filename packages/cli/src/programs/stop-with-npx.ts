import type { Variables } from '../command.ts';

/** How often it is looked whether npx is still there, in milliseconds. */
const INTERVAL_MS = 250;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/**
 * npx runs a command in a shell, and a signal that ends npx ends the shell and not the command, which would go on without a parent. So
 * a program that npx has started stops when its parent has gone. `parent` is the process that it began under. Call it when the
 * program has its handlers of signals: those are told SIGTERM, unless a signal has come before.
 */
export function stopWithNpx(env: Variables, parent: number): void {
  // A worker has its primary for a parent.
  if (env['npm_command'] !== 'exec' || process.send !== undefined) return;
  const watch = setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM');
  }, INTERVAL_MS);
  watch.unref();
  for (const signal of SIGNALS) process.once(signal, () => clearInterval(watch));
}
