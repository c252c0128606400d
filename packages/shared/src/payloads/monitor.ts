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

export interface MonitorSnapshot {
  node: string;
  at: number;
  connections: { socketId: string; userId: string; transport: string; groups: string[] }[];
}
