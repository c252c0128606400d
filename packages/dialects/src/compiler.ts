import type { JsonValue } from '@groupcast/shared';
import type { Compiling, Definitions, Faults, Template } from './compiling.ts';
import { compileTemplate } from './template.ts';

/** Most parts of one template, and of all templates of a file; those of a definition count wherever it is used. */
const MAX_PARTS = 500;
const MAX_PARTS_OF_FILE = 20_000;

type Options = Partial<Pick<Compiling, 'values' | 'refuses'>>;

/** Compiles the templates of one file, and keeps what all of them share. */
export interface Compiler {
  faults: Faults;
  /** Names of the definitions that are used. */
  used: ReadonlySet<string>;
  /** `undefined` compiles `$`: the value as it came. */
  template(value: JsonValue | undefined, path: string, options?: Options): Template;
}

export function createCompiler(faults: Faults, definitions: Definitions): Compiler {
  const used = new Set<string>();
  let left = MAX_PARTS_OF_FILE;
  return {
    faults,
    used,
    template(value, path, options) {
      const most = Math.min(MAX_PARTS, left);
      const parts = { left: most };
      const where = { faults, path, definitions, used, values: 1, refuses: undefined, parts, ...options } as const;
      const template = compileTemplate(value === undefined ? '$' : value, where);
      if (parts.left < 0) {
        const scope = most < MAX_PARTS ? `all templates of a file have ${MAX_PARTS_OF_FILE}` : `it has ${MAX_PARTS}`;
        faults.add(path, `has too many parts: ${scope} at most, those of the definitions that are used included`);
      }
      left -= most - Math.max(0, parts.left);
      return template;
    },
  };
}

export const listOf = <Item>(value: Item | readonly Item[] | undefined): readonly Item[] =>
  value === undefined ? [] : Array.isArray(value) ? (value as readonly Item[]) : [value as Item];
