import type { JsonValue } from '@groupcast/shared';
import type { Dialect, Heard, HttpRoute, Said, Saying, Viewing } from './dialect.ts';
import type { CommandRule, DialectFile, EventRule, HttpRouteRule, SayingRule } from './file-schema.ts';
import { compileTemplate, compileText, type Faults, type Template } from './template.ts';
import {
  COMMANDS,
  type CommandFields,
  HTTP_COMMANDS,
  type HttpCommandName,
  isCommand,
  isEventName,
} from './vocabulary.ts';

const ANY = '*';

interface Compiler {
  faults: Faults;
  template(value: JsonValue | undefined, path: string, otherwise?: JsonValue): Template;
}

interface CompiledSaying {
  name: Template;
  payload: Template;
}
interface CompiledEvent extends CompiledSaying {
  to: EventRule['to'];
  exceptSender: boolean;
  only: Template | undefined;
  when: readonly (readonly [Template, ReadonlySet<unknown>])[];
}
interface CompiledCommand {
  command: string;
  input: Template;
  acknowledgement: Template;
  answer: readonly CompiledSaying[];
}

const listOf = <Item>(value: Item | readonly Item[] | undefined): readonly Item[] =>
  value === undefined ? [] : Array.isArray(value) ? (value as readonly Item[]) : [value as Item];

function compilerOf(faults: Faults, definitions: Readonly<Record<string, JsonValue>>): Compiler {
  return {
    faults,
    template: (value, path, otherwise = '$') => compileTemplate(value ?? otherwise, { faults, path, definitions }),
  };
}

function compileName(event: string, path: string, { faults }: Compiler): Template {
  if (!isEventName(event.replaceAll(/\{[^{}]*\}/g, 'x'))) {
    faults.add(`${path}.event`, `"${event}" is no name that a client may listen to`);
  }
  return compileText(event, { faults, path: `${path}.event` });
}

function compileSaying(rule: SayingRule, native: string, path: string, compiler: Compiler): CompiledSaying {
  return {
    name: compileName(rule.event ?? native, path, compiler),
    payload: compiler.template(rule.payload, `${path}.payload`),
  };
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
        [compiler.template(`$.${field}`, `${path}.when`), new Set<unknown>(listOf<JsonValue>(values))] as const,
    ),
  };
}

/** Names the fields that a command needs and a template does not make, and those that it makes and the command does not take. */
function checkFields(template: JsonValue | undefined, fields: CommandFields, path: string, faults: Faults): void {
  if (typeof template !== 'object' || template === null || Array.isArray(template)) return;
  const made = Object.keys(template);
  if (made.some((name) => name.startsWith('$'))) return;
  const missing = fields.required.filter((name) => !made.includes(name));
  const unknown = made.filter((name) => !fields.required.includes(name) && !fields.optional.includes(name));
  for (const name of missing) faults.add(path, `"${name}" is missing, which the command needs`);
  for (const name of unknown) faults.add(path, `"${name}" is no field of the command`);
}

function compileCommand(
  event: string,
  rule: CommandRule,
  otherwise: JsonValue | undefined,
  compiler: Compiler,
): CompiledCommand {
  const path = `commands.${event}`;
  const command = rule.command ?? event;
  if (!isEventName(event)) compiler.faults.add(path, `"${event}" is no name that a client may send`);
  if (!isCommand(command)) {
    compiler.faults.add(path, `"${command}" is no command: ${Object.keys(COMMANDS).join(', ')} are`);
  } else {
    checkFields(rule.with, COMMANDS[command], `${path}.with`, compiler.faults);
  }
  return {
    command,
    input: compiler.template(rule.with, `${path}.with`),
    acknowledgement: compiler.template(rule.acknowledgement ?? otherwise, `${path}.acknowledgement`),
    answer: listOf(rule.answer).map((each, index) => compileSaying(each, event, `${path}.answer[${index}]`, compiler)),
  };
}

function isSentByHttpToo([event, rule]: [string, CommandRule]): boolean {
  const { command = event, with: template } = rule;
  if (command !== 'send-message' || typeof template !== 'object' || template === null) return false;
  return Object.hasOwn(template, 'alsoByHttp');
}

function compileHttp(rule: HttpRouteRule, index: number, compiler: Compiler): HttpRoute {
  const path = `http[${index}]`;
  if (!Object.hasOwn(HTTP_COMMANDS, rule.command)) {
    compiler.faults.add(path, `"${rule.command}" is no command: ${Object.keys(HTTP_COMMANDS).join(', ')} are`);
  } else {
    checkFields(rule.with, HTTP_COMMANDS[rule.command as HttpCommandName], `${path}.with`, compiler.faults);
  }
  const parameters = rule.path.match(/:\w+/g) ?? [];
  if (new Set(parameters).size < parameters.length) compiler.faults.add(`${path}.path`, 'names a parameter twice');
  // A page of another site makes a browser send a GET with its cookies.
  if (rule.method === 'GET' && rule.command === 'send-message') {
    compiler.faults.add(`${path}.method`, 'GET must change nothing');
  }
  const input = compiler.template(rule.with, `${path}.with`);
  const answer = compiler.template(rule.answer, `${path}.answer`);
  return {
    method: rule.method,
    path: rule.path,
    command: rule.command as HttpCommandName,
    status: rule.status ?? 200,
    input: (request) => input([request]),
    answer: (result) => answer([result]),
  };
}

function sayAll(sayings: readonly CompiledSaying[], value: unknown): Said[] {
  const said: Said[] = [];
  for (const { name, payload } of sayings) {
    const event = name([value]);
    if (typeof event === 'string') said.push({ name: event, payload: payload([value]) });
  }
  return said;
}

function isMeant({ when, to }: CompiledEvent, payload: unknown, viewing: Viewing): boolean {
  if (to !== undefined && to !== 'members' && to !== viewing) return false;
  return when.every(([field, values]) => values.has(field([payload])));
}

function saySaying({ name, payload, exceptSender, only }: CompiledEvent, native: unknown): Saying | undefined {
  const event = name([native]);
  if (typeof event !== 'string') return undefined;
  const said = { name: event, payload: payload([native]), exceptSender };
  return only ? { ...said, only: listOf<unknown>(only([native])) } : said;
}

/** Compiles a file whose form has been checked. Adds what is wrong to `faults`; a dialect with faults must not be used. */
export function compileDialect(file: DialectFile, faults: Faults): Dialect {
  const compiler = compilerOf(faults, file.definitions ?? {});
  for (const name of Object.keys(file.definitions ?? {})) compiler.template({ $use: name }, 'definitions');
  const commands = new Map<string, CompiledCommand>();
  for (const [event, rule] of Object.entries(file.commands ?? {})) {
    commands.set(event, compileCommand(event, rule, file.acknowledgement?.success, compiler));
  }
  const events = new Map<string, readonly CompiledEvent[]>();
  for (const [native, rules] of Object.entries(file.events ?? {})) {
    const several = listOf<EventRule>(rules);
    // Of all other events the name is not known yet, and is kept.
    const kept = native === ANY ? 'x' : native;
    events.set(
      native,
      several.map((rule, index) => compileEvent(rule, kept, `events.${native}[${index}]`, compiler)),
    );
  }
  const others = listOf<EventRule>(file.events?.[ANY]);
  if (others.some(({ event }) => event !== undefined)) faults.add('events.*', 'other events keep their names');
  const refusal = file.refusal ? [compileSaying(file.refusal, 'error', 'refusal', compiler)] : [];
  const failure = compiler.template(file.acknowledgement?.failure, 'acknowledgement.failure');
  const httpError = compiler.template(file.httpError, 'httpError', { error: '$' });

  function say(event: string, payload: unknown, viewing: Viewing): Saying[] | undefined {
    const known = events.get(event);
    const rules = known ?? events.get(ANY);
    if (!rules) return undefined;
    const sayings = rules
      .filter((rule) => isMeant(rule, payload, viewing))
      .map((rule) => saySaying(rule, payload))
      .filter((saying) => saying !== undefined);
    return known ? sayings : sayings.map((saying) => ({ ...saying, name: event }));
  }

  function hear(event: string, args: readonly unknown[]): Heard | undefined {
    const rule = commands.get(event);
    if (!rule) return undefined;
    const payload = rule.input(args);
    return {
      command: rule.command,
      payload,
      acknowledge: (answer) => rule.acknowledgement([answer]),
      answers: (answer) => sayAll(rule.answer, { ...(payload as object), ...answer }),
    };
  }

  return {
    name: file.name,
    groups: file.groups ?? 'token',
    tellsViewersApart: [...events.values()].flat().some(({ to }) => to === 'viewing' || to === 'not-viewing'),
    commandNames: [...commands.keys()],
    saysStatus: (events.get('message-status')?.length ?? 0) > 0,
    hear,
    say,
    refuse: (answer) => failure([answer]),
    refusals: (refused) => sayAll(refusal, refused),
    sendsByHttpToo: Object.entries(file.commands ?? {}).some(isSentByHttpToo),
    http: (file.http ?? []).map((rule, index) => compileHttp(rule, index, compiler)),
    httpError: (error) => httpError([error]),
  };
}
