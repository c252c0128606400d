import { isJson, type JsonValue, nearestEvent, nearestText } from '@groupcast/shared';
import { type Compiler, listOf } from './compiler.ts';
import { type Faults, isFields, type Template } from './compiling.ts';
import type { Heard } from './dialect.ts';
import type { CommandRule, DialectFile } from './file-schema.ts';
import { type CompiledSaying, compileSaying, sayAll } from './sayings.ts';
import { COMMANDS, type CommandFields, isCommand, isDoorCommand, isEventName } from './vocabulary.ts';

interface CompiledCommand {
  command: string;
  input: Template;
  acknowledgement: Template;
  answer: readonly CompiledSaying[];
}

/** The events of clients, as the commands that they are. */
export interface CompiledCommands {
  names: readonly string[];
  eventNames: readonly string[];
  sendsByHttpToo: boolean;
  hear: (event: string, args: readonly unknown[]) => Heard | undefined;
}

/** Names the fields that a command needs and a template does not make, and those that it makes and the command does not take. */
export function checkFields(
  template: JsonValue | undefined,
  { required, optional }: CommandFields,
  path: string,
  faults: Faults,
): void {
  if (!isFields(template)) return;
  const made = Object.keys(template);
  // An operator makes them.
  if (made.some((name) => name.startsWith('$'))) return;
  for (const name of required.filter((field) => !made.includes(field))) {
    faults.add(path, `"${name}" is missing, which the command needs`);
  }
  const known = [...required, ...optional];
  for (const name of made.filter((field) => !known.includes(field))) {
    const near = nearestText(name, known);
    const advice = near ? `did you mean "${near}"?` : `it takes ${known.join(', ') || 'none'}`;
    faults.add(`${path}.${name}`, `is no field of the command; ${advice}`);
  }
}

/** Says that there is no such command, and which one is near. */
export function unknownCommand(command: string, known: readonly string[]): string {
  const near = nearestEvent(command, known) ?? nearestText(command, known);
  return `"${command}" is no command; ${near ? `did you mean "${near}"?` : `${known.join(', ')} are`}`;
}

function compileCommand(event: string, rule: CommandRule, success: JsonValue | undefined, compiler: Compiler) {
  const path = `commands.${event}`;
  const { faults } = compiler;
  const command = rule.command ?? event;
  if (!isEventName(event)) faults.add(path, `"${event}" is no name that a client may send`);
  if (isCommand(command)) {
    checkFields(rule.with, COMMANDS[command], `${path}.with`, faults);
  } else {
    faults.add(rule.command === undefined ? path : `${path}.command`, unknownCommand(command, Object.keys(COMMANDS)));
  }
  const answers = listOf(rule.answer);
  return {
    command,
    input: compiler.template(rule.with, `${path}.with`, { values: 10 }),
    acknowledgement: compiler.template(
      rule.acknowledgement === undefined ? success : rule.acknowledgement,
      rule.acknowledgement === undefined ? 'acknowledgement.success' : `${path}.acknowledgement`,
    ),
    answer: answers.map((each, index) =>
      compileSaying(each, event, `${path}.answer${Array.isArray(rule.answer) ? `[${index}]` : ''}`, compiler),
    ),
  };
}

/** The fields of a command and those of its answer. A client may have sent what is nested too deep to be told. */
function told(payload: unknown, answer: object): object {
  return isFields(payload) && isJson(payload) ? { ...payload, ...answer } : answer;
}

/** Whether the command may come by HTTP as well, and the two are one message. */
function isSentByHttpToo({ command, with: template }: CommandRule, event: string): boolean {
  return (command ?? event) === 'send-message' && isFields(template) && Object.hasOwn(template, 'alsoByHttp');
}

export function compileCommands(file: DialectFile, compiler: Compiler): CompiledCommands {
  const commands = new Map<string, CompiledCommand>();
  for (const [event, rule] of Object.entries(file.commands ?? {})) {
    commands.set(event, compileCommand(event, rule, file.acknowledgement?.success, compiler));
  }
  return {
    names: [...commands.keys()],
    eventNames: [...commands].filter(([, { command }]) => !isDoorCommand(command)).map(([event]) => event),
    sendsByHttpToo: Object.entries(file.commands ?? {}).some(([event, rule]) => isSentByHttpToo(rule, event)),
    hear(event, args) {
      const rule = commands.get(event);
      if (!rule) return undefined;
      const payload = rule.input(args);
      return {
        command: rule.command,
        payload,
        acknowledge: (answer) => rule.acknowledgement([answer]) ?? null,
        answers: (answer) => (rule.answer.length === 0 ? [] : sayAll(rule.answer, told(payload, answer))),
      };
    },
  };
}
