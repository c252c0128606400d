import type { DialectName } from './dialects.ts';
import type { Posted } from './groups.ts';

/** The commands of a driver process, which has one room, or some groups. */
export interface DriverCommands {
  /** `second`: members and publisher are other programs' connections, see second-room.ts. */
  open: { input: { ports: number[]; dialect: DialectName; members: number; second?: boolean }; output: object };
  /** More members of the room. */
  add: { input: { members: number }; output: object };
  /** Publishes `burst` messages, the next once every member has the last, for at least `ms`. */
  flood: { input: { burst: number; bytes: number; ms: number; pids: number[] }; output: FloodResult };
  /** Publishes one message `perSecond` times a second, although members may still wait for an earlier one. */
  pace: { input: { perSecond: number; bytes: number; ms: number }; output: { latenciesMs: number[] } };
  /** Members of groups that the API knows. */
  'open-groups': {
    input: { apiUrl: string; relayPort: number; groupIds: string[]; userIds: string[] };
    output: object;
  };
  /** Posts to the first `groups` of them, each writer its next message when the last was answered, for at least `ms`. */
  post: { input: { writers: number; groups: number; content: string; ms: number }; output: Posted };
}

export interface FloodResult {
  messages: number;
  wallMs: number;
  /** CPU time that the processes of `pids` took together, one after the other, and the driver itself. */
  cpuNs: number[];
  driverCpuNs: number;
}

export type CommandName = keyof DriverCommands;

export interface Command {
  id: number;
  name: CommandName;
  input: DriverCommands[CommandName]['input'];
}

export type Reply = { id: number; output: object } | { id: number; error: string };
