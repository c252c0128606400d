import type { Position } from '../positions.ts';

/** The events that a monitor sees, as one tagged union; `at` is milliseconds since the Unix epoch. */
export type MonitorEvent = { at: number; node: string } & (
  | { kind: 'connected'; socketId: string; userId: string; transport: string; groups: string[] }
  | { kind: 'disconnected'; socketId: string; userId: string; reason: string }
  | { kind: 'refused'; code: string; message: string }
  | { kind: 'joined'; socketId: string; userId: string; groupId: string }
  | { kind: 'left'; socketId: string; userId: string; groupId: string; reason: string }
  | {
      kind: 'broadcast';
      groupId: string;
      id: string;
      event: string;
      position: Position | null;
      connections: number;
      duplicate: boolean;
    }
  | { kind: 'warning'; code: string; message: string; groupId?: string; socketId?: string; userId?: string }
);

export type MonitorWarning = Extract<MonitorEvent, { kind: 'warning' }>;

/** `transport`: `polling`, `websocket`, or `raw` for a WebSocket without Socket.IO. */
export interface MonitorConnection {
  socketId: string;
  userId: string;
  transport: string;
  groups: string[];
}

export interface MonitorSnapshot {
  node: string;
  at: number;
  connections: MonitorConnection[];
  /** The last ones of the node, oldest first. A relay of an earlier version does not keep any. */
  warnings?: MonitorWarning[];
}

/** One node over one interval of a few seconds, which ends at `at`. Rates are per second; lags are in milliseconds. */
export interface MonitorSample {
  at: number;
  connections: number;
  broadcasts: number;
  deliveries: number;
  /** From when an event came to the node until its last member was written to; `null` where nothing was written. */
  lagP50: number | null;
  lagP99: number | null;
}

/** One relay, as the page for operators shows it. */
export interface MonitorNode {
  node: string;
  at: number;
  uptimeSeconds: number;
  /** Open connections of users, and those of back ends and monitors. */
  connections: number;
  services: number;
  /** Groups that have a connection here. */
  groups: number;
  /** Parts that fail, as its `/readyz` names them. */
  failing: string[];
  degraded: string[];
  /** Oldest first. */
  samples: MonitorSample[];
  /** The largest ones, by their connections here. */
  topGroups: { groupId: string; connections: number }[];
  warnings: MonitorWarning[];
}

/** `events` and `deliveries`: of the last minute, as far as somebody was watching. */
export interface MonitorGroup {
  groupId: string;
  connections: number;
  events: number;
  deliveries: number;
}

/** All relays. `silent`: those that are counted on and did not answer. */
export interface MonitorState {
  at: number;
  /** The relay that answers. */
  node: string;
  nodes: MonitorNode[];
  silent: string[];
  groups: MonitorGroup[];
  /** Length of the interval of a sample, in milliseconds. */
  sampleMs: number;
}

/** The connections of one user, on all relays. */
export interface MonitorUser {
  userId: string;
  nodes: { node: string; connections: MonitorConnection[] }[];
  silent: string[];
}
