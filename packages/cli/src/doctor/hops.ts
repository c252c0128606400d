import type { API_VERDICT_CODES, RELAY_VERDICT_CODES } from '@groupcast/shared';

/** The hops of the walk, in the order in which they are shown, each with the exit code of a walk that ends there. */
export const HOPS = {
  configuration: 78,
  api: 11,
  database: 12,
  secrets: 13,
  clock: 14,
  relay: 15,
  redis: 16,
  upgrade: 17,
  stickiness: 18,
  'canary-websocket': 19,
  'canary-polling': 20,
  'canary-raw': 21,
  nodes: 22,
  versions: 23,
  cors: 24,
  'group-id': 25,
  message: 26,
} as const;
export type Hop = keyof typeof HOPS;
export const HOP_NAMES = Object.keys(HOPS) as Hop[];

/** The hops in the order of causes: what fails further down may fail because of what fails further up. */
export const CAUSES: readonly Hop[] = [
  'configuration',
  'database',
  'redis',
  'api',
  'relay',
  'clock',
  'secrets',
  'upgrade',
  'stickiness',
  'nodes',
  'canary-websocket',
  'canary-polling',
  'canary-raw',
  'cors',
  'versions',
  'group-id',
  'message',
];

/** The codes of faults, each with what it means. */
export const FAULT_CODES = {
  CONFIGURATION_INVALID: 'a variable of this environment is wrong',
  API_UNREACHABLE: 'nothing answers at `API_URL`',
  API_SILENT: 'the API takes a connection and does not answer: it is frozen, or something in between swallows it',
  API_DRAINING: 'the API is stopping',
  WRONG_URL: 'something else answers at a URL, or at its path',
  DATABASE_UNREACHABLE: 'the database does not answer',
  DATABASE_READ_ONLY: 'the database takes no writes, such as an old primary after a failover',
  DATABASE_OUT_OF_ORDER: 'the database cannot write: a full or failing disk',
  DATABASE_BEHIND: 'migrations are missing: an older database was restored under a running API',
  SECRET_MISMATCH: 'a token is refused by one side; the cause says by which',
  TOKEN_REFUSED: 'a service token that was given is refused for another reason',
  CLOCK_SKEW: 'clocks differ by more than `JWT_CLOCK_SKEW_SECONDS`',
  RELAY_UNREACHABLE: 'nothing answers at `RELAY_URL`',
  RELAY_SILENT: 'the relay takes a connection and does not answer: it is frozen, or something in between swallows it',
  RELAY_DRAINING: 'the relay is stopping',
  RELAY_UNREADY: 'the relay says itself that it should be given no work',
  RELAY_CUT_OFF: 'the API, or the relay’s back end, cannot be reached from the other side',
  INTERNAL_PORT_UNREACHABLE: 'the internal port that was named does not answer',
  REDIS_UNREACHABLE: 'Redis does not answer here, or the relay cannot use it',
  REDIS_REFUSES: 'Redis refuses the user or the password',
  REDIS_READ_ONLY: 'Redis takes no writes: a replica',
  REDIS_EVICTS: '`maxmemory-policy` lets Redis forget what the relays share',
  REDIS_TOO_OLD: 'Redis is older than 7',
  FOREIGN_DEPLOYMENT: 'relays with another `RELAY_SERVICE_SECRET` use the same prefix',
  NODES_APART: 'what one relay is given does not reach the clients of another: they have no common Redis',
  NODE_DEAF: 'one relay does not hear what others are given',
  NODE_UNREACHABLE: 'a relay that was named by `--relay` or `--node` does not answer',
  NODE_SILENT: 'such a relay takes a connection and does not answer',
  NO_UPGRADE: 'a proxy in front does not pass a WebSocket on',
  NOT_STICKY: 'a balancer in front spreads the requests of one polling session',
  CONNECTION_REFUSED: 'the relay refuses a client that it should take',
  CONNECTION_STALLS: 'a connection opens and goes silent: something in between swallows its bytes',
  NOT_JOINED: 'a client is connected and does not get into its group',
  BROADCAST_REFUSED: 'the relay does not take a broadcast',
  CANARY_LOST: 'the relay took the canary, and a client that is there did not get it',
  ORIGIN_REFUSED: 'the page’s origin is not allowed by one side',
  VERSIONS_DIFFER: 'relays are of different versions',
  NEAR_MISS: 'nobody is in the group of this id, and somebody is in one that is spelled nearly so',
  NOBODY_IN_GROUP: 'nobody is in the group, and no message was named',
  MESSAGE_NOT_FOUND: 'there is no message of the id that was named',
  TRACE_FAILED: 'it was not said where the message is',
} as const;
/** Of a message that was named, the code is that of its trace. */
export type FaultCode = keyof typeof FAULT_CODES | (typeof API_VERDICT_CODES | typeof RELAY_VERDICT_CODES)[number];

/** Faults that may lead to others later, and explain nothing that fails now: they count where nothing else does. */
const RISKS: ReadonlySet<FaultCode> = new Set(['REDIS_EVICTS', 'VERSIONS_DIFFER', 'INTERNAL_PORT_UNREACHABLE']);

export interface Fault {
  hop: Hop;
  code: FaultCode;
  cause: string;
  fix: string;
  /** The code of a fault that this one leads to. */
  explains?: FaultCode;
}

/** The finding of a probe. `blames`: the hop at which the cause is, where that is another one. */
export type Outcome =
  | { state: 'ok'; detail: string }
  | { state: 'failed'; detail: string; code: FaultCode; cause: string; fix: string; blames?: Hop; explains?: FaultCode }
  | { state: 'skipped'; detail: string };

export const ok = (detail: string): Outcome => ({ state: 'ok', detail });
export const skipped = (detail: string): Outcome => ({ state: 'skipped', detail });
export function failed(
  code: FaultCode,
  cause: string,
  fix: string,
  more: { detail?: string; blames?: Hop; explains?: FaultCode } = {},
): Outcome {
  const { detail = cause, ...rest } = more;
  return { state: 'failed', detail, code, cause, fix, ...rest };
}

export interface Finding {
  hop: Hop;
  ms: number;
  outcome: Outcome;
}

/** The one fault that explains the others: the first one in the order of causes. */
export function faultOf(findings: readonly Finding[]): Fault | undefined {
  const faultsOf = (isBlame: boolean): Fault[] =>
    findings.flatMap(({ hop, outcome }) => {
      if (outcome.state !== 'failed' || (outcome.blames !== undefined) !== isBlame) return [];
      const { code, cause, fix, blames = hop, explains } = outcome;
      return [{ hop: blames, code, cause, fix, ...(explains ? { explains } : {}) }];
    });
  // A hop knows its own fault better than another one that only blames it.
  const faults = [...faultsOf(false), ...faultsOf(true)];
  const isExplained = ({ code }: Fault): boolean => faults.some(({ explains }) => explains === code);
  const rank = (fault: Fault): number =>
    CAUSES.indexOf(fault.hop) + (RISKS.has(fault.code) || isExplained(fault) ? CAUSES.length : 0);
  return faults.toSorted((a, b) => rank(a) - rank(b))[0];
}
