import { fileURLToPath } from 'node:url';
import { type ManagedProcess, startNode } from '@groupcast/testing';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));

export interface CliProcess extends ManagedProcess {
  stdout(): string;
  stderr(): string;
}

/** The built `groupcast` as a child process with exactly these variables. */
export function startCli(args: readonly string[], env: Readonly<Record<string, string>>): CliProcess {
  const child = startNode([MAIN, ...args], env);
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child.child[name]?.on('data', (text: string) => {
      written[name] += text;
    });
  }
  return Object.assign(child, { stdout: () => written.stdout, stderr: () => written.stderr });
}

export async function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number | NodeJS.Signals; stdout: string; stderr: string }> {
  const cli = startCli(args, env);
  const code = await cli.exited();
  return { code, stdout: cli.stdout(), stderr: cli.stderr() };
}
