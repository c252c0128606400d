import { readFileSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { nearestText } from '@groupcast/shared';
import { checkDialect, type DialectCheck } from './check.ts';
import type { Dialect } from './dialect.ts';
import { duplicateKeys } from './duplicate-keys.ts';
import type { DialectFile } from './file-schema.ts';

/** Largest file, in bytes. */
const MAX_FILE_BYTES = 262_144;
/** Most keys that are named because they are there twice, and the longest path of one, in characters. */
const MAX_DUPLICATES = 10;
const MAX_SHOWN = 400;
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

export type LoadedDialect = Pick<DialectCheck, 'dialect' | 'faults' | 'warnings'>;

/** Adds the line to the message of a parser that names the place in the text. */
function withLine(message: string, text: string): string {
  const [, position] = /at position (\d+)(?! \(line)/.exec(message) ?? [];
  if (position === undefined) return message;
  return `${message} (line ${text.slice(0, Number(position)).split('\n').length})`;
}

type Read = { value: unknown; duplicates: string[] } | { fault: string };

function readFile(path: string | URL): Read {
  let text: string;
  try {
    const stat = statSync(path);
    // A pipe would be waited for.
    if (!stat.isFile()) return { fault: 'unable to read it; it is no file' };
    if (stat.size > MAX_FILE_BYTES) return { fault: `the file has ${stat.size} bytes, ${MAX_FILE_BYTES} at most` };
    text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    return { fault: `unable to read it; ${(error as Error).message}` };
  }
  try {
    return { value: JSON.parse(text), duplicates: duplicateKeys(text) };
  } catch (error) {
    return { fault: `it is no JSON; ${withLine((error as Error).message, text)}` };
  }
}

function refusal(...faults: string[]): LoadedDialect {
  return { dialect: undefined, faults, warnings: [] };
}

const files = new Map<string, DialectFile>();
const builtIn = new Map<string, Dialect>();

/** Reads a file that comes with Groupcast. A fault in it is one of ours. */
function readOne(name: string): Dialect {
  const read = readFile(new URL(`${name}.json`, FILES));
  const { dialect, file, faults } = 'fault' in read ? { faults: [read.fault] } : checkDialect(read.value, files);
  if (!dialect || !file) throw new Error(`the dialect ${name} has faults: ${faults.join('; ')}`);
  files.set(name, file);
  builtIn.set(name, dialect);
  return dialect;
}

/** Reads the files that come with Groupcast, each once. */
function readBuiltIn(): ReadonlyMap<string, Dialect> {
  if (builtIn.size < BUILT_IN.length) for (const name of BUILT_IN) if (!builtIn.has(name)) readOne(name);
  return builtIn;
}

/** The dialects that come with Groupcast whose clients send an event of this name. */
export function builtInWith(event: string): string[] {
  return [...readBuiltIn().values()].filter(({ commandNames }) => commandNames.includes(event)).map(({ name }) => name);
}

/** The vocabulary of Groupcast's own clients. It alone is read where no other one is in use. */
export function nativeDialect(): Dialect {
  return builtIn.get('native') ?? readOne('native');
}

/** The file of a dialect that comes with Groupcast, as it is written. */
export function builtInFile(name: (typeof BUILT_IN)[number]): string {
  return readFileSync(new URL(`${name}.json`, FILES), 'utf8');
}

/** Loads a team's own dialect. Its name is none of those that come with Groupcast. */
export function loadDialectFile(path: string): LoadedDialect {
  const known = readBuiltIn();
  const read = readFile(path);
  if ('fault' in read) return refusal(read.fault);
  const { dialect, faults, warnings } = checkDialect(read.value, files);
  const duplicates = read.duplicates
    .slice(0, MAX_DUPLICATES)
    .map((key) => `${key.slice(0, MAX_SHOWN)}: is there twice`);
  if (duplicates.length > 0) return refusal(...duplicates, ...faults);
  if (dialect && known.has(dialect.name)) {
    return refusal(`name: "${dialect.name}" comes with Groupcast; give yours another one`);
  }
  return { dialect, faults, warnings };
}

/** Loads a dialect that comes with Groupcast, by its name, or a team's own, by the path to its file. */
export function loadDialect(nameOrPath: string): LoadedDialect {
  const named = readBuiltIn().get(nameOrPath);
  if (named) return { dialect: named, faults: [], warnings: [] };
  if (isAbsolute(nameOrPath) || /[./\\]/.test(nameOrPath)) return loadDialectFile(nameOrPath);
  const near = nearestText(nameOrPath, BUILT_IN);
  const advice = near ? `did you mean "${near}"?` : `${BUILT_IN.join(', ')} are, and a path to a file of your own`;
  return refusal(`there is no dialect "${nameOrPath}"; ${advice}`);
}
