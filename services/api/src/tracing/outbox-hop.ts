import type { ConnectionState } from '@groupcast/broadcaster';
import { adviceFor } from '../outbox/relay-connection.ts';
import { TRACE_CODES, type TraceCode } from './trace-codes.ts';
import type { TracedMessage } from './trace-store.ts';

/** The outbox as one process of the API knows it. */
export interface OwnOutbox {
  /** The name under which this process holds groups. */
  owner: string;
  /** The group's last event that the relay has accepted, where this process holds the group. */
  sentSeq(groupId: string): number | undefined;
  /** The connection to the relay. */
  relayState(): ConnectionState;
}

/** The reason why a message does not get on. `detail` is for operators: it may have names of processes and addresses. */
export interface Stop {
  code: TraceCode;
  detail?: string;
  /** In place of the code's own. */
  fix?: string;
}

export const causeOf = ({ code, detail }: Stop, isOperator: boolean): string =>
  isOperator && detail !== undefined ? `${TRACE_CODES[code].cause}: ${detail}` : TRACE_CODES[code].cause;

export const fixOf = ({ code, fix }: Stop, isOperator: boolean): string =>
  isOperator && fix !== undefined ? fix : TRACE_CODES[code].fix;

/** The reason why this process has no relay to send to or to ask; undefined where it is connected. */
export function stopOfConnection(state: ConnectionState): Stop | undefined {
  switch (state.name) {
    case 'connected':
      return undefined;
    case 'refused':
      return {
        code: 'RELAY_REFUSED',
        detail: `${state.error.code}, ${state.error.message}`,
        fix: adviceFor(state.error),
      };
    case 'unreachable':
      return { code: 'RELAY_UNREACHABLE', detail: state.error.message };
    case 'connecting':
    case 'disconnected':
    case 'closed':
      return { code: 'RELAY_UNREACHABLE', detail: `this process of the API is ${state.name}` };
    default:
      return state satisfies never;
  }
}

/** Whether the relay has accepted the message, as far as the cursors of the dispatcher say. */
export function isDispatched({ groupId, seq, dispatchedSeq }: TracedMessage, own: OwnOutbox): boolean {
  return Math.max(dispatchedSeq, own.sentSeq(groupId) ?? 0) >= seq;
}

/** The reason why a message that is saved has not been accepted by the relay. */
export function stopInOutbox(message: TracedMessage, own: OwnOutbox): Stop {
  const { lease, failure, readsOnly } = message;
  if (readsOnly) return { code: 'DATABASE_READ_ONLY' };
  const isElsewhere = lease !== undefined && lease.owner !== own.owner;
  if (isElsewhere) {
    const until = lease.until.toISOString();
    return { code: 'LEASED_ELSEWHERE', detail: `${lease.owner} holds it until ${until}` };
  }
  const connection = stopOfConnection(own.relayState());
  if (connection) return connection;
  if (failure) {
    const { attempts, code, retryAt } = failure;
    const times = attempts === 1 ? 'once' : `${attempts} times`;
    return {
      code: 'ATTEMPT_FAILED',
      detail: `${code ?? 'unknown code'}, ${times} so far, and again at ${retryAt.toISOString()}`,
    };
  }
  return { code: 'NOT_CLAIMED', detail: lease ? 'this process is sending it' : 'no process has claimed its group yet' };
}
