import type { JsonValue } from '@groupcast/shared';

/** Values that a template reads: `$` is the first, `$1` the second. */
export type Context = readonly unknown[];
/** Makes a payload of another. `undefined` is a field that is not there, and is left out. */
export type Template = (context: Context) => unknown;
export type Definitions = Readonly<Record<string, JsonValue>>;

/** Faults of a file, each with the path to what is wrong. */
export interface Faults {
  add(path: string, message: string): void;
}

/** The place in a file that is being compiled. */
export interface Compiling {
  faults: Faults;
  path: string;
  definitions: Definitions;
  /** Definitions that are being compiled, from the outermost. */
  uses: readonly string[];
  /** Gets the name of each definition that is used. */
  used: Set<string>;
  depth: number;
  inEach: boolean;
  /** Values that a reference may name: `$` alone, or `$` to `$9`. */
  values: 1 | 10;
  /** Returns the fault of a reference to these fields of `$`, if there is one. */
  refuses: ((names: readonly string[]) => string | undefined) | undefined;
  /** Parts that may still be compiled. Those of a definition count wherever it is used. */
  parts: { left: number };
  compile(value: JsonValue, where: Compiling): Template;
}

export type FieldsOf<Value> = Readonly<Record<string, Value>>;

/** Sets a field of an object that is being made, also one that is called `__proto__`, which an assignment would not. */
export function setField(made: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__')
    Object.defineProperty(made, name, { value, enumerable: true, configurable: true, writable: true });
  else made[name] = value;
}

export function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
