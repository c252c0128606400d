import { BUILT_IN, builtInFile, checkDialect, type Dialect, type DialectFile, loadDialect } from '../src/index.ts';

/** The files that a dialect of a test may extend. */
export const KNOWN: ReadonlyMap<string, DialectFile> = new Map(
  BUILT_IN.map((name) => [name, JSON.parse(builtInFile(name)) as DialectFile] as const),
);

export function faultsOf(file: unknown): readonly string[] {
  return checkDialect(file, KNOWN).faults;
}

export function warningsOf(file: object): readonly string[] {
  const { faults, warnings } = checkDialect({ name: 'test', ...file }, KNOWN);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  return warnings;
}

export function dialectOf(file: object): Dialect {
  const { dialect, faults } = checkDialect({ name: 'test', ...file }, KNOWN);
  if (!dialect) throw new Error(faults.join('\n'));
  return dialect;
}

export function loaded(name: string): Dialect {
  const { dialect, faults } = loadDialect(name);
  if (!dialect) throw new Error(faults.join('\n'));
  return dialect;
}
