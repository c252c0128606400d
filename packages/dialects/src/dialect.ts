import type { HttpCommandName } from './vocabulary.ts';

/** One event as a connection is told it. */
export interface Said {
  name: string;
  payload: unknown;
}

/** Connections that are told: those that have the group on screen, or those that have not. */
export type Viewing = 'viewing' | 'not-viewing';

/** One event on its way out, and who among the members it is for. */
export interface Saying extends Said {
  /** The sender's own connection is left out. */
  exceptSender: boolean;
  /** Ids of the users who are told; all if it is not set. */
  only?: readonly string[];
}

/** An event of a client, in our own words. */
export interface Heard {
  command: string;
  payload: unknown;
  /** The acknowledgement of what was carried out. `answer` has `ok: true`. */
  acknowledge(answer: object): unknown;
  /** Events that the connection is told then. `answer` has the fields of the command and those of its answer. */
  answers(answer: object): readonly Said[];
}

/** A route of the API, in the words of a front end. */
export interface HttpRoute {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With parameters as `:name`. */
  path: string;
  command: HttpCommandName;
  status: number;
  input(request: { params: unknown; query: unknown; body: unknown }): unknown;
  answer(result: object): unknown;
}

/** A vocabulary of a front end, compiled. Nothing here throws, whatever comes in. */
export interface Dialect {
  readonly name: string;
  /** The word of its people for a group, for the log. */
  readonly noun: string;
  readonly groups: 'token' | 'back-end' | 'none';
  /** Whether its clients get back what they have missed, by Socket.IO's connection state recovery. Their events have one more argument. */
  readonly recovers: boolean;
  /** Whether connections that have a group on screen are told otherwise than the rest. */
  readonly tellsViewersApart: boolean;
  /** Names of the events that its clients send. */
  readonly commandNames: readonly string[];
  /** Those of them that clients of Socket.IO may send: all but `auth` and `ping` of the raw WebSocket. */
  readonly eventNames: readonly string[];
  /** Whether it has a name for `message-status`, which is made for such dialects alone. */
  readonly saysStatus: boolean;
  /** Returns `undefined` for an event that it does not know. */
  hear(event: string, args: readonly unknown[]): Heard | undefined;
  /** Returns `undefined` if it has no name for the event. */
  say(event: string, payload: unknown, viewing: Viewing): readonly Saying[] | undefined;
  /** The acknowledgement of what was refused. */
  refuse(answer: object): unknown;
  /** Events that say why something was refused, to a client that asked for no acknowledgement. */
  refusals(refused: object): readonly Said[];
  /** Whether its clients may send a message by socket and the same one by HTTP, which are one (`alsoByHttp`). */
  readonly sendsByHttpToo: boolean;
  readonly http: readonly HttpRoute[];
  httpError(error: object): unknown;
}
