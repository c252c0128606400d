import { misspelt } from '@groupcast/shared';
import { listOf } from './compiler.ts';
import type { Faults } from './compiling.ts';
import { ANY } from './events.ts';
import type { DialectFile, EventRule } from './file-schema.ts';
import { COMMANDS, type CommandName, EVENTS, isCommand } from './vocabulary.ts';

/** Events of which one tells others that a command was carried out. */
const TOLD_BY: Partial<Readonly<Record<CommandName, readonly string[]>>> = {
  'send-message': ['new-message'],
  'edit-message': ['message-updated'],
  'delete-message': ['message-deleted'],
  typing: ['typing'],
  signal: ['signal'],
  'watch-group': ['presence'],
  'mark-delivered': ['receipt', 'message-status'],
  'mark-read': ['receipt', 'read-cursor', 'message-status'],
};
/** The one command after which a connection counts as viewing. `view-group` only says to others what is on screen. */
const OPENER: CommandName = 'open-group';

function rulesOf(file: DialectFile, native: string): readonly EventRule[] {
  const { events = {} } = file;
  const rules = Object.hasOwn(events, native) ? events[native] : events[ANY];
  return listOf<EventRule>(rules);
}

/** `message-status` is made only for dialects that name it. */
function says(file: DialectFile, native: string): boolean {
  if (native === 'message-status' && !Object.hasOwn(file.events ?? {}, native)) return false;
  return rulesOf(file, native).length > 0;
}

function warnOfEvents(own: DialectFile, file: DialectFile, warnings: Faults): void {
  for (const name of Object.keys(own.events ?? {})) {
    const near = name === ANY ? undefined : misspelt(name, EVENTS);
    if (near !== undefined) {
      warnings.add(
        `events.${name}`,
        `is no event of Groupcast's own, and nearly "${near}"; it is fine if a publisher sends it`,
      );
    }
  }
  const opens = Object.entries(file.commands ?? {}).some(([event, { command = event }]) => command === OPENER);
  for (const [name, rules] of Object.entries(own.events ?? {})) {
    if (!opens && listOf<EventRule>(rules).some(({ to }) => to === 'viewing')) {
      warnings.add(`events.${name}`, 'is for connections that have the group on screen, and no command opens one');
    }
  }
}

function warnOfCommands(own: DialectFile, file: DialectFile, warnings: Faults): void {
  for (const [event, { command = event, with: template }] of Object.entries(own.commands ?? {})) {
    if (!isCommand(command)) continue;
    const { required } = COMMANDS[command];
    const path = `commands.${event}`;
    if (event !== command && template === undefined && required.length > 0) {
      const fields = required.map((name) => `"${name}"`).join(', ');
      warnings.add(path, `has no "with": what the client sends has to have ${fields} by these names`);
    }
    const natives = TOLD_BY[command] ?? [];
    if (natives.length > 0 && !natives.some((native) => says(file, native))) {
      const names = natives.map((native) => `"${native}"`).join(' nor ');
      warnings.add(path, `nobody is told of it: the dialect does not say ${names}`);
    }
  }
}

/** Adds things that are no faults, and probably not meant. `own` is the file as it was written, `file` has that which it extends as well. */
export function addWarnings(own: DialectFile, file: DialectFile, used: ReadonlySet<string>, warnings: Faults): void {
  warnOfEvents(own, file, warnings);
  warnOfCommands(own, file, warnings);
  for (const name of Object.keys(own.definitions ?? {})) {
    if (!used.has(name)) warnings.add(`definitions.${name}`, 'is used by nothing');
  }
}
