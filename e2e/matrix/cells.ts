import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Longest a command may take, in milliseconds: installing Next.js on a slow line. */
const COMMAND_MS = 600_000;

export type Package = 'broadcaster' | 'client';
export type Format = 'ESM' | 'CJS';
export const PACKAGES: readonly Package[] = ['broadcaster', 'client'];
export const FORMATS: readonly Format[] = ['ESM', 'CJS'];

/** One square of the table: a package, in one format, by one tool. `judge` throws where it does not work. */
export interface Cell {
  tool: string;
  name: Package;
  format: Format;
  judge: () => Promise<unknown>;
}

/** Runs a command; an error has everything that it wrote. */
export async function command(
  folder: string,
  file: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  try {
    const options = { cwd: folder, env: { ...process.env, ...env }, timeout: COMMAND_MS, maxBuffer: 67_108_864 };
    return (await run(file, args, options)).stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${file} ${args.join(' ')}:\n${stdout ?? ''}${stderr ?? ''}`, { cause: error });
  }
}

export const node = async (folder: string, args: readonly string[], env?: Record<string, string>): Promise<string> =>
  command(folder, process.execPath, args, env);

/** The last line of a program that works. */
export const WORKS = 'groupcast works';

export function expectWorks(output: string): void {
  if (!output.includes(WORKS)) throw new Error(`the program did not say that it works:\n${output}`);
}

export interface Judged {
  cell: Cell;
  seconds: number;
  problem?: string;
}

export async function judgeAll(cells: readonly Cell[]): Promise<Judged[]> {
  const judged: Judged[] = [];
  for (const cell of cells) {
    const startedAt = performance.now();
    const outcome = await cell.judge().then(
      () => ({}),
      (error: unknown) => ({ problem: error instanceof Error ? error.message : String(error) }),
    );
    judged.push({ cell, seconds: (performance.now() - startedAt) / 1_000, ...outcome });
  }
  return judged;
}

/** The table: a row for each tool, a column for each package and format. */
export function tableOf(judged: readonly Judged[]): string {
  const columns = PACKAGES.flatMap((name) => FORMATS.map((format) => ({ name, format, title: `${name} ${format}` })));
  const tools = [...new Set(judged.map(({ cell }) => cell.tool))];
  const rows = tools.map((tool) => {
    const squares = columns.map(({ name, format }) => {
      const one = judged.find(({ cell }) => cell.tool === tool && cell.name === name && cell.format === format);
      return one === undefined ? '' : `${one.problem === undefined ? 'ok' : 'FAILS'} ${one.seconds.toFixed(1)} s`;
    });
    return [tool, ...squares];
  });
  const lines = [['', ...columns.map(({ title }) => title)], ...rows];
  const widths = lines[0]?.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0))) ?? [];
  return lines.map((line) => line.map((text, at) => text.padEnd(widths[at] ?? 0)).join('  ')).join('\n');
}
