import { type Compiler, listOf } from './compiler.ts';
import type { Faults, Template } from './compiling.ts';
import type { Saying, Viewing } from './dialect.ts';
import type { DialectFile, EventRule } from './file-schema.ts';
import { type CompiledSaying, compileSaying } from './sayings.ts';
import { isDoorFrame } from './vocabulary.ts';

/** Stands for all events that a file does not name. */
export const ANY = '*';

interface CompiledEvent extends CompiledSaying {
  to: EventRule['to'];
  exceptSender: boolean;
  only: Template | undefined;
  when: readonly (readonly [Template, ReadonlySet<unknown>])[];
}

/** Native events, as the events that a dialect makes of them. */
export interface CompiledEvents {
  say: (event: string, payload: unknown, viewing: Viewing) => Saying[] | undefined;
  tellsViewersApart: boolean;
  saysStatus: boolean;
}

function compileEvent(rule: EventRule, native: string, path: string, compiler: Compiler): CompiledEvent {
  const { to, except, only, when = {} } = rule;
  return {
    ...compileSaying(rule, native, path, compiler),
    to,
    exceptSender: except === 'sender',
    only: only === undefined ? undefined : compiler.template(only, `${path}.only`),
    when: Object.entries(when).map(
      ([field, values]) =>
        [compiler.template(`$.${field}`, `${path}.when.${field}`), new Set<unknown>(listOf<unknown>(values))] as const,
    ),
  };
}

function compileRules(native: string, rules: EventRule | readonly EventRule[], compiler: Compiler): CompiledEvent[] {
  // Of all other events the name is not known yet, and is kept.
  const kept = native === ANY ? 'x' : native;
  return listOf<EventRule>(rules).map((rule, index) =>
    compileEvent(rule, kept, `events.${native}${Array.isArray(rules) ? `[${index}]` : ''}`, compiler),
  );
}

function isMeant({ when, to }: CompiledEvent, payload: unknown, viewing: Viewing): boolean {
  if (to !== undefined && to !== 'members' && to !== viewing) return false;
  return when.every(([field, values]) => values.has(field([payload])));
}

/** Ids of users, which are texts on the way out of Groupcast. */
function usersOf(value: unknown): string[] {
  return listOf<unknown>(value)
    .filter((id) => typeof id === 'string' || typeof id === 'number')
    .map(String);
}

function sayRule({ name, payload, exceptSender, only }: CompiledEvent, native: unknown): Saying | undefined {
  const event = name(native);
  if (event === undefined) return undefined;
  const said = { name: event, payload: payload([native]) ?? null, exceptSender };
  return only ? { ...said, only: usersOf(only([native])) } : said;
}

function checkAny(rules: readonly EventRule[], faults: Faults): void {
  if (rules.some(({ event }) => event !== undefined)) faults.add(`events.${ANY}`, 'other events keep their names');
}

export function compileEvents(file: DialectFile, compiler: Compiler): CompiledEvents {
  const events = new Map<string, readonly CompiledEvent[]>();
  for (const [native, rules] of Object.entries(file.events ?? {})) {
    events.set(native, compileRules(native, rules, compiler));
  }
  checkAny(listOf<EventRule>(file.events?.[ANY]), compiler.faults);
  return {
    tellsViewersApart: [...events.values()].flat().some(({ to }) => to === 'viewing' || to === 'not-viewing'),
    saysStatus: (events.get('message-status')?.length ?? 0) > 0,
    say(event, payload, viewing) {
      const known = event === ANY ? undefined : events.get(event);
      const rules = known ?? events.get(ANY);
      // The raw door's own frames are left out only by their names: nobody who leaves other events out means those.
      if (!rules || (!known && rules.length === 0 && isDoorFrame(event))) return undefined;
      const sayings: Saying[] = [];
      for (const rule of rules) {
        const saying = isMeant(rule, payload, viewing) ? sayRule(rule, payload) : undefined;
        if (saying) sayings.push(known ? saying : { ...saying, name: event });
      }
      return sayings;
    },
  };
}
