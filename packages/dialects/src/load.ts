import { readFileSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { checkDialect } from './check.ts';
import type { Dialect } from './dialect.ts';
import type { DialectFile } from './file-schema.ts';

/** Largest file, in bytes. */
const MAX_FILE_BYTES = 262_144;
const FILES = new URL('../files/', import.meta.url);

/** The dialects that come with Groupcast, each a file that others may begin with. `native` is the first: others extend it. */
export const BUILT_IN = [
  'native',
  'conversation-colon',
  'group-array',
  'underscore-events',
  'underscore-message',
  'aurora',
] as const;

export interface LoadedDialect {
  dialect: Dialect | undefined;
  /** Empty if the dialect can be used. */
  faults: readonly string[];
}

function readFile(path: string | URL): { value: unknown; fault?: string } {
  try {
    const { size } = statSync(path);
    if (size > MAX_FILE_BYTES)
      return { value: undefined, fault: `the file has ${size} bytes, ${MAX_FILE_BYTES} at most` };
    return { value: JSON.parse(readFileSync(path, 'utf8')) };
  } catch (error) {
    return { value: undefined, fault: `unable to read it; ${(error as Error).message}` };
  }
}

const files = new Map<string, DialectFile>();
const builtIn = new Map<string, Dialect>();

/** Reads the files that come with Groupcast, once. A fault in one of them is one of ours. */
function readBuiltIn(): ReadonlyMap<string, Dialect> {
  if (builtIn.size > 0) return builtIn;
  for (const name of BUILT_IN) {
    const { value, fault } = readFile(new URL(`${name}.json`, FILES));
    const { dialect, file, faults } = checkDialect(value, files);
    if (!dialect || !file) throw new Error(`the dialect ${name} has faults: ${[fault, ...faults].join('; ')}`);
    files.set(name, file);
    builtIn.set(name, dialect);
  }
  return builtIn;
}

/** The vocabulary of Groupcast's own clients. */
export function nativeDialect(): Dialect {
  const native = readBuiltIn().get('native');
  if (!native) throw new Error('the native dialect is missing');
  return native;
}

/** Loads a dialect that comes with Groupcast, by its name, or a team's own, by the path to its file. */
export function loadDialect(nameOrPath: string): LoadedDialect {
  const known = readBuiltIn();
  const named = known.get(nameOrPath);
  if (named) return { dialect: named, faults: [] };
  if (!isAbsolute(nameOrPath) && !/[./\\]/.test(nameOrPath)) {
    const fault = `there is no dialect "${nameOrPath}": ${BUILT_IN.join(', ')} are, and a path to a file of your own`;
    return { dialect: undefined, faults: [fault] };
  }
  const { value, fault } = readFile(nameOrPath);
  if (fault !== undefined) return { dialect: undefined, faults: [fault] };
  const { dialect, faults } = checkDialect(value, files);
  if (dialect && known.has(dialect.name)) {
    return { dialect: undefined, faults: [`name: "${dialect.name}" comes with Groupcast; give yours another one`] };
  }
  return { dialect, faults };
}
