import type { Compiler } from './compiler.ts';
import type { Template } from './compiling.ts';
import type { Said } from './dialect.ts';
import type { SayingRule } from './file-schema.ts';
import { compileText, hasPlaceholder, withoutPlaceholders } from './references.ts';
import { canBeSaid, isEventName } from './vocabulary.ts';

/** An event of which name and payload are made. */
export interface CompiledSaying {
  /** Returns `undefined` where no event can have the name. */
  name: (value: unknown) => string | undefined;
  payload: Template;
}

function compileName(event: string, path: string, { faults }: Compiler): CompiledSaying['name'] {
  if (!isEventName(withoutPlaceholders(event))) {
    faults.add(path, `"${event}" is no name that a client may listen to`);
  }
  if (!hasPlaceholder(event)) return () => event;
  const text = compileText(event, { faults, path, values: 1, refuses: undefined });
  return (value) => {
    const name = text([value]);
    // A client may have made a part of it, such as the kind of a signal.
    return typeof name === 'string' && canBeSaid(name) ? name : undefined;
  };
}

export function compileSaying(rule: SayingRule, otherwise: string, path: string, compiler: Compiler): CompiledSaying {
  return {
    name: compileName(rule.event ?? otherwise, `${path}.event`, compiler),
    payload: compiler.template(rule.payload, `${path}.payload`),
  };
}

/** The events of all these sayings that have a name. A payload that is not there is `null`. */
export function sayAll(sayings: readonly CompiledSaying[], value: unknown): Said[] {
  const said: Said[] = [];
  for (const { name, payload } of sayings) {
    const event = name(value);
    if (event !== undefined) said.push({ name: event, payload: payload([value]) ?? null });
  }
  return said;
}
