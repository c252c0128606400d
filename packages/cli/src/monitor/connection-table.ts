import type { MonitorEvent, MonitorSnapshot, MonitorWarning } from '@groupcast/shared';

export interface MonitorFilter {
  groupId?: string | undefined;
  userId?: string | undefined;
}

type Connection = MonitorSnapshot['connections'][number];

/**
 * The connections, kept up to date from the snapshot and the events after it: a `disconnected` names no groups and a
 * `broadcast` no users, and a filter has to know both.
 */
export interface ConnectionTable {
  readonly size: number;
  replaceNode(snapshot: MonitorSnapshot): void;
  /** Call it with every event, and before `shows`. */
  apply(event: MonitorEvent): void;
  /**
   * Whether `event` concerns the filter's group and user. What names neither (a refusal, a general warning) may
   * concern anyone, and is always shown.
   */
  shows(event: MonitorEvent): boolean;
  /** The snapshot's connections that the filter lets through. */
  select(snapshot: MonitorSnapshot): Connection[];
  /** After a reconnect nothing is known until the next snapshot. */
  clear(): void;
}

export function createConnectionTable(filter: MonitorFilter): ConnectionTable {
  const connections = new Map<string, { node: string; userId: string; groups: Set<string> }>();
  /** The groups of the connection that left last: its event is shown after it is gone from the table. */
  let departed: { socketId: string; groups: ReadonlySet<string> } | undefined;
  const { groupId, userId } = filter;

  function add(node: string, { socketId, userId: user, groups }: Connection): void {
    connections.set(socketId, { node, userId: user, groups: new Set(groups) });
  }

  function groupsOf(socketId: string): ReadonlySet<string> | undefined {
    return departed?.socketId === socketId ? departed.groups : connections.get(socketId)?.groups;
  }

  /** Whether a connection of the filter's user is in this group right now. */
  function userIsIn(group: string): boolean {
    for (const connection of connections.values()) {
      if (connection.userId === userId && connection.groups.has(group)) return true;
    }
    return false;
  }

  function showsWarning(warning: MonitorWarning): boolean {
    const isOfUser = warning.userId === userId;
    if (userId !== undefined && warning.userId !== undefined && !isOfUser) return false;
    if (warning.groupId === undefined) return true;
    const isOfGroup = groupId === undefined || warning.groupId === groupId;
    return isOfGroup && (userId === undefined || isOfUser || userIsIn(warning.groupId));
  }

  return {
    get size() {
      return connections.size;
    },
    replaceNode(snapshot) {
      for (const [socketId, { node }] of connections) if (node === snapshot.node) connections.delete(socketId);
      for (const connection of snapshot.connections) add(snapshot.node, connection);
    },
    apply(event) {
      switch (event.kind) {
        case 'connected':
          add(event.node, event);
          break;
        case 'disconnected':
          departed = { socketId: event.socketId, groups: groupsOf(event.socketId) ?? new Set() };
          connections.delete(event.socketId);
          break;
        case 'joined':
          connections.get(event.socketId)?.groups.add(event.groupId);
          break;
        case 'left':
          connections.get(event.socketId)?.groups.delete(event.groupId);
          break;
        case 'refused':
        case 'broadcast':
        case 'warning':
          break;
        default:
          event satisfies never;
      }
    },
    shows(event) {
      switch (event.kind) {
        case 'connected':
        case 'disconnected': {
          const inGroup = groupId === undefined || groupsOf(event.socketId)?.has(groupId) === true;
          return inGroup && (userId === undefined || event.userId === userId);
        }
        case 'joined':
        case 'left':
          return (
            (groupId === undefined || event.groupId === groupId) && (userId === undefined || event.userId === userId)
          );
        case 'warning':
          return showsWarning(event);
        case 'broadcast':
          return (
            (groupId === undefined || event.groupId === groupId) && (userId === undefined || userIsIn(event.groupId))
          );
        case 'refused':
          return true;
        default:
          event satisfies never;
          return true;
      }
    },
    select(snapshot) {
      return snapshot.connections.filter(
        (connection) =>
          (groupId === undefined || connection.groups.includes(groupId)) &&
          (userId === undefined || connection.userId === userId),
      );
    },
    clear() {
      connections.clear();
    },
  };
}
