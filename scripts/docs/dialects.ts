import { OPERATORS } from '../../packages/dialects/src/operators.ts';
import { COMMANDS, EVENTS, HTTP_COMMANDS } from '../../packages/dialects/src/vocabulary.ts';
import { TO_BROWSERS } from './event-tables.ts';
import { CLIENT_EVENTS, type EventDescription } from './events.ts';
import { anchorOf, table } from './pages.ts';

/** Commands and events that stand on no page of the reference but that of dialects, where a section of their own explains them. */
const ONLY_HERE: Readonly<Record<string, string>> = {
  'open-group': 'join, and have it on screen',
  'close-group': 'have it on screen no longer, and stay',
  acknowledge: 'do nothing, and be answered',
  auth: 'bring a token (raw WebSocket)',
  ping: 'be answered (raw WebSocket)',
  'message-status': 'a member has received or read a message',
  'auth-success': 'the token is good (raw WebSocket)',
  'auth-error': 'the token is not (raw WebSocket)',
  ack: 'an acknowledgement (raw WebSocket)',
  pong: 'the answer to `ping` (raw WebSocket)',
};

const code = (text: string): string => `\`${text}\``;
const list = (names: readonly string[]): string => (names.length === 0 ? '' : code(names.join(', ')));

/** The name, which leads to the section that explains it: on this page, or on that of the browsers' events. */
function linkTo(name: string, page: string, browserEvents = ''): string {
  const isHere = name in ONLY_HERE;
  const anchor = anchorOf(isHere ? page : browserEvents, name);
  if (anchor === undefined) throw new Error(`no section explains "${name}"`);
  return `[${code(name)}](${isHere ? '' : 'reference/browser-events.md'}#${anchor})`;
}

function summaryOf(name: string, events: Readonly<Record<string, EventDescription>>): string {
  const summary = ONLY_HERE[name] ?? events[name]?.summary;
  if (summary === undefined) throw new Error(`nothing says what "${name}" is`);
  return summary;
}

/** The commands, with the fields that each of them takes. */
export function commandsTable(page: string): string {
  const rows = Object.entries(COMMANDS).map(([name, { required, optional }]) => [
    // A row with a link to another page would be too long.
    name in ONLY_HERE ? linkTo(name, page) : code(name),
    list(required),
    list(optional),
    summaryOf(name, CLIENT_EVENTS),
  ]);
  return table(['command', 'needs', 'may have', 'what'], rows);
}

/** The commands of routes, with the fields that each of them takes. */
export function httpCommandsTable(): string {
  const rows = Object.entries(HTTP_COMMANDS).map(([name, { required, optional }]) => [
    code(name),
    list(required),
    list(optional),
  ]);
  return table(['command', 'needs', 'may have'], rows);
}

/** The events that Groupcast itself says. */
export function eventsTable(page: string, browserEvents: string): string {
  const rows = EVENTS.map((name) => [linkTo(name, page, browserEvents), summaryOf(name, TO_BROWSERS)]);
  return table(['event', 'what'], rows);
}

export function operatorsTable(): string {
  const rows = Object.entries(OPERATORS).map(([name, { beside, summary }]) => [code(name), list(beside), summary]);
  return table(['operator', 'beside it', 'makes'], rows);
}
