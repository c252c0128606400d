import type { MonitorEvent, MonitorSnapshot, Position } from '@groupcast/shared';
import { type Paint, printable, type Style } from '../terminal.ts';
import type { WarningCounts } from './warnings.ts';

const KIND_STYLES: Readonly<Record<MonitorEvent['kind'], Style | Style[]>> = {
  connected: 'green',
  disconnected: 'magenta',
  refused: ['bold', 'red'],
  joined: 'cyan',
  left: 'blue',
  broadcast: 'bold',
  warning: ['bold', 'yellow'],
};
const KIND_WIDTH = 13;
const SHOWN_GROUPS = 5;
const SHOWN_CONNECTIONS = 20;

/** Local time of day with milliseconds. */
function timeOfDay(at: number): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  const milliseconds = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${milliseconds}`;
}

function listOfGroups(groups: readonly string[]): string {
  if (groups.length === 0) return '-';
  const more = groups.length > SHOWN_GROUPS ? `,+${groups.length - SHOWN_GROUPS}` : '';
  return groups.slice(0, SHOWN_GROUPS).join(',') + more;
}

function spell(position: Position | null): string {
  return position ? `${position.epoch}:${position.seq}` : '-';
}

/** Formats what a monitor sees as one line each: the time, the kind, then `name=value` to search for. */
export function createFormatter(paint: Paint): {
  event(event: MonitorEvent, connectionCount: number): string;
  snapshot(snapshot: MonitorSnapshot, shown: MonitorSnapshot['connections'], filtered: boolean): string[];
  /** How many warnings there were of each code, the most frequent first. */
  warnings(at: number, counts: WarningCounts): string;
} {
  const field = (name: string, value: string | number): string => {
    const text = printable(String(value));
    return `${paint('dim', `${name}=`)}${/[\s"]/.test(text) ? JSON.stringify(text) : text}`;
  };
  const line = (at: number, kind: string, style: Style | Style[], ...rest: string[]): string =>
    [paint('dim', timeOfDay(at)), paint(style, kind.padEnd(KIND_WIDTH)), ...rest].join(' ');

  function details(event: MonitorEvent, connectionCount: number): string[] {
    switch (event.kind) {
      case 'connected': {
        const { userId, socketId, transport, groups } = event;
        const who = [field('user', userId), field('socket', socketId), field('transport', transport)];
        return [...who, field('groups', listOfGroups(groups)), field('connections', connectionCount)];
      }
      case 'disconnected':
        return [
          field('user', event.userId),
          field('socket', event.socketId),
          field('reason', event.reason),
          field('connections', connectionCount),
        ];
      case 'refused':
        return [paint('red', printable(event.code)), printable(event.message)];
      case 'joined':
        return [field('user', event.userId), field('group', event.groupId), field('socket', event.socketId)];
      case 'left': {
        const who = [field('user', event.userId), field('group', event.groupId), field('socket', event.socketId)];
        return [...who, field('reason', event.reason)];
      }
      case 'broadcast': {
        const { groupId, event: name, id, position, connections, duplicate } = event;
        const what = [
          field('group', groupId),
          field('event', name),
          field('id', id),
          field('position', spell(position)),
        ];
        const reached = connections > 0 || duplicate ? [] : [paint(['bold', 'yellow'], '! nobody is in this group')];
        return [...what, field('connections', connections), ...(duplicate ? [paint('dim', 'duplicate')] : reached)];
      }
      case 'warning': {
        const { code, groupId, userId, socketId, message } = event;
        const about = Object.entries({ group: groupId, user: userId, socket: socketId });
        const fields = about.flatMap(([name, value]) => (value === undefined ? [] : [field(name, value)]));
        return [paint('yellow', printable(code)), ...fields, printable(message)];
      }
      default:
        // A relay of a later version knows more kinds: shown as they come.
        event satisfies never;
        return [printable(JSON.stringify(event))];
    }
  }

  return {
    warnings(at, counts) {
      const codes = [...counts].toSorted(([, a], [, b]) => b - a).map(([code, count]) => field(code, count));
      const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
      return line(at, 'warnings', ['bold', 'yellow'], field('count', total), ...codes);
    },
    event: (event, connectionCount) =>
      line(event.at, printable(event.kind), KIND_STYLES[event.kind] ?? 'dim', ...details(event, connectionCount)),
    snapshot({ at, node, connections }, shown, filtered) {
      const users = new Set(shown.map(({ userId }) => userId)).size;
      const groups = new Set(shown.flatMap((connection) => connection.groups)).size;
      const counts = [field('connections', shown.length), field('users', users), field('groups', groups)];
      const note = filtered ? [paint('dim', `of ${connections.length} connections on the node`)] : [];
      const lines = [line(at, 'snapshot', ['bold', 'cyan'], field('node', node), ...counts, ...note)];
      for (const { userId, socketId, transport, groups: joined } of shown.slice(0, SHOWN_CONNECTIONS)) {
        const who = [field('user', userId), field('socket', socketId), field('transport', transport)];
        lines.push(line(at, '', 'dim', ...who, field('groups', listOfGroups(joined))));
      }
      const rest = shown.length - SHOWN_CONNECTIONS;
      if (rest > 0) lines.push(line(at, '', 'dim', paint('dim', `and ${rest} more`)));
      return lines;
    },
  };
}
