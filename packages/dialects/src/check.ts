import { nearestText } from '@groupcast/shared';
import { compileDialect } from './compile.ts';
import type { Faults } from './compiling.ts';
import type { Dialect } from './dialect.ts';
import { type DialectFile, dialectFileSchema } from './file-schema.ts';
import { addFormFaults } from './form-faults.ts';
import { addWarnings } from './warnings.ts';

/** Most faults that are named at once, and the longest one. */
const MAX_FAULTS = 50;
const MAX_LENGTH = 500;

export interface DialectCheck {
  /** Set if there is no fault. */
  dialect: Dialect | undefined;
  file: DialectFile | undefined;
  /** Each with the path to what is wrong; empty if nothing is. */
  faults: readonly string[];
  /** Of things that are no faults, and probably not meant; in the same form. */
  warnings: readonly string[];
}

function collect(): Faults & { all: string[] } {
  const all: string[] = [];
  return {
    all,
    add(path, message) {
      const fault = `${path}: ${message}`.replaceAll(/[\p{Cc}\u2028\u2029]/gu, '\uFFFD');
      const line = fault.length > MAX_LENGTH ? `${fault.slice(0, MAX_LENGTH)} …` : fault;
      if (all.length < MAX_FAULTS && !all.includes(line)) all.push(line);
    },
  };
}

/** `known` has the files that a dialect may extend, by name. */
export function checkDialect(value: unknown, known: ReadonlyMap<string, DialectFile> = new Map()): DialectCheck {
  const faults = collect();
  const warnings = collect();
  const parsed = dialectFileSchema.safeParse(value);
  if (!parsed.success) {
    addFormFaults(parsed.error.issues, value, faults);
    return { dialect: undefined, file: undefined, faults: faults.all, warnings: [] };
  }
  const file = extended(parsed.data, known, faults);
  const { dialect, used } = compileDialect(file, faults);
  if (faults.all.length > 0) return { dialect: undefined, file: undefined, faults: faults.all, warnings: [] };
  addWarnings(parsed.data, file, used, warnings);
  return { dialect, file, faults: [], warnings: warnings.all };
}

function extended(file: DialectFile, known: ReadonlyMap<string, DialectFile>, faults: Faults): DialectFile {
  if (file.extends === undefined) return file;
  const base = known.get(file.extends);
  if (!base) {
    const near = nearestText(file.extends, known.keys());
    const advice = near ? `did you mean "${near}"?` : `${[...known.keys()].join(', ')} may be extended`;
    faults.add('extends', `there is no dialect "${file.extends}"; ${advice}`);
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
