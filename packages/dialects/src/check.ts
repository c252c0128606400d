import { compileDialect } from './compile.ts';
import type { Dialect } from './dialect.ts';
import { type DialectFile, dialectFileSchema } from './file-schema.ts';
import type { Faults } from './template.ts';

/** Most faults that are named at once. */
const MAX_FAULTS = 50;

export interface DialectCheck {
  /** Set if there is no fault. */
  dialect: Dialect | undefined;
  file: DialectFile | undefined;
  /** Each with the path to what is wrong; empty if nothing is. */
  faults: readonly string[];
}

/** `known` has the files that a dialect may extend, by name. */
export function checkDialect(value: unknown, known: ReadonlyMap<string, DialectFile> = new Map()): DialectCheck {
  const faults: string[] = [];
  const collected: Faults = {
    add(path, message) {
      const fault = `${path}: ${message}`;
      if (faults.length < MAX_FAULTS && !faults.includes(fault)) faults.push(fault);
    },
  };
  const parsed = dialectFileSchema.safeParse(value);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) collected.add(path.join('.') || 'the file', message);
    return { dialect: undefined, file: undefined, faults };
  }
  const file = extended(parsed.data, known, collected);
  const dialect = compileDialect(file, collected);
  return faults.length > 0 ? { dialect: undefined, file: undefined, faults } : { dialect, file, faults };
}

function extended(file: DialectFile, known: ReadonlyMap<string, DialectFile>, faults: Faults): DialectFile {
  if (file.extends === undefined) return file;
  const base = known.get(file.extends);
  if (!base) {
    faults.add('extends', `there is no dialect "${file.extends}"; ${[...known.keys()].join(', ')} may be extended`);
    return file;
  }
  return {
    ...base,
    ...file,
    definitions: { ...base.definitions, ...file.definitions },
    commands: { ...base.commands, ...file.commands },
    events: { ...base.events, ...file.events },
  };
}
