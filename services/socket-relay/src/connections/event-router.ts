import { builtInWith, type Dialect, type Heard, isDoorCommand } from '@groupcast/dialects';
import type { Logger } from '@groupcast/service-kit';
import { type ErrorBody, GroupcastError, nearestEvent, nearestText, toErrorBody } from '@groupcast/shared';
import { isRaw, REFUSED, RENEW } from '../engine/raw-frames.ts';
import type { RelaySocket } from '../sessions/session.ts';
import { emitSaid } from '../sessions/tell.ts';
import { dialectOf } from '../sessions/voices.ts';
import { onlyOfRawDoor } from './raw-voice.ts';

/**
 * The answer to an event. A function is called in the turn in which the acknowledgement leaves, for answers that must not be overtaken by a
 * live event.
 */
export type EventAnswer = object | (() => object);
export type EventHandler<S extends RelaySocket> = (socket: S, payload: unknown) => EventAnswer | Promise<EventAnswer>;

/** `dialect`: the one that the connection speaks; nothing for a back end. */
function unknownEvent(event: string, known: readonly string[], dialect: Dialect | undefined): GroupcastError {
  const others = dialect ? builtInWith(event) : [];
  const near = nearestEvent(event, known) ?? nearestText(event, known);
  const meant = near === undefined ? '' : `, perhaps "${near}" is meant`;
  const advice =
    others.length > 0
      ? `; this connection speaks "${dialect?.name}", and ${others.map((name) => `"${name}"`).join(' and ')} ${others.length > 1 ? 'have' : 'has'} it: set RELAY_DIALECT, or ?dialect= in the URL`
      : meant;
  return new GroupcastError(
    'UNKNOWN_EVENT',
    `unable to accept "${event.slice(0, 64)}"; there is no such event${advice}`,
  );
}

/** An event that is for the back end alone, or a back end's own. */
function asItIs(command: string, [payload]: readonly unknown[]): Heard {
  return { command, payload, acknowledge: (answer) => answer, answers: () => [] };
}

/** The raw door asks for a command itself under a name that no dialect can have. */
function commandOf(event: string): string {
  return event === RENEW ? 'refresh-token' : event;
}

/** The answer of a back end may be a refusal as well. */
function refusedBy(answer: object): ErrorBody | undefined {
  const { ok, error } = answer as { ok?: unknown; error?: ErrorBody };
  return ok === false ? error : undefined;
}

/**
 * Every event that a connection sends goes through here: known or not, allowed or not, it is answered once, whatever happens. Its dialect
 * says which command an event is, and how the answer is said. A client that asked for no acknowledgement gets the events that its dialect
 * has for that, if it has some. Returns a function that begins to route the events of one connection.
 */
export function createEventRouter<S extends RelaySocket>(options: {
  handlersOf: (socket: S) => Readonly<Record<string, EventHandler<S>>>;
  /** Whether events are in the words of the connection's dialect. */
  isTranslated: boolean;
  /** Returns the handler of an event that these do not have, if there is one. */
  otherwise?: (event: string) => EventHandler<S> | undefined;
  /** Returns what a command has to wait for, if there is something. It never rejects. */
  before?: (socket: S, heard: Heard) => Promise<void> | undefined;
  /** Throws if the connection may not send this event, known or not. */
  guard: (socket: S, event: string) => void;
  onFailure: (socket: S, event: string, error: unknown) => void;
  log: Logger;
}): (socket: S) => void {
  const { handlersOf, guard, onFailure, log, isTranslated } = options;

  function find(socket: S, event: string, args: readonly unknown[]): { heard: Heard; handler: EventHandler<S> } {
    const handlers = handlersOf(socket);
    const dialect = isTranslated ? dialectOf(socket) : undefined;
    const heard = event === RENEW || !dialect ? asItIs(commandOf(event), args) : dialect.hear(event, args);
    if (heard && Object.hasOwn(handlers, heard.command)) {
      const handler = handlers[heard.command];
      if (handler) return { heard, handler };
    }
    const handler = options.otherwise?.(event);
    if (!handler && heard && isDoorCommand(heard.command)) throw onlyOfRawDoor(event);
    const names = isRaw(socket.conn) ? dialect?.commandNames : dialect?.eventNames;
    if (!handler) throw unknownEvent(event, names ?? Object.keys(handlers), dialect);
    return { heard: asItIs(event, args), handler };
  }

  async function handle(
    socket: S,
    event: string,
    args: readonly unknown[],
  ): Promise<{ heard: Heard; answer: EventAnswer }> {
    guard(socket, event);
    const { heard, handler } = find(socket, event, args);
    const pending = options.before?.(socket, heard);
    if (pending) await pending;
    return { heard, answer: await handler(socket, heard.payload) };
  }

  // Socket.IO's parser lets numbers, and nothing at all, through as an event's name.
  function onEvent(socket: S, name: unknown, args: readonly unknown[]): void {
    const event = typeof name === 'string' ? name : '';
    const last = args.at(-1);
    const acknowledge = typeof last === 'function' ? (last as (answer: unknown) => void) : undefined;
    const dialect: Dialect = dialectOf(socket);

    function tellRefused(error: ErrorBody, answer: object): void {
      if (acknowledge) {
        acknowledge(event === RENEW ? answer : dialect.refuse(answer));
        return;
      }
      const refused = { ...error, event };
      const sayings = dialect.refusals(refused);
      for (const said of sayings) emitSaid(socket, said);
      // Clients of Socket.IO know what they have sent and did not ask about. A frame without a number is a slip.
      if (sayings.length === 0 && isRaw(socket.conn)) emitSaid(socket, { name: REFUSED, payload: refused });
    }

    function refuse(error: unknown): void {
      if (!(error instanceof GroupcastError)) log.error({ err: error, event }, 'event failed');
      onFailure(socket, event, error);
      const body = toErrorBody(error);
      tellRefused(body, { ok: false, error: body });
    }

    function reply(heard: Heard, fields: object): void {
      const answer = { ok: true, ...fields };
      const refused = refusedBy(answer);
      if (refused) {
        tellRefused(refused, answer);
        return;
      }
      const { session } = socket.data;
      if (session.kind === 'user') session.copy?.write();
      acknowledge?.(heard.acknowledge(answer));
      for (const said of heard.answers(fields)) emitSaid(socket, said);
    }

    handle(socket, event, acknowledge ? args.slice(0, -1) : args).then(({ heard, answer }) => {
      try {
        reply(heard, typeof answer === 'function' ? (answer as () => object)() : answer);
      } catch (error) {
        refuse(error);
      }
    }, refuse);
  }

  // The listener is the same for all connections.
  function listener(this: S, name: unknown, ...args: unknown[]): void {
    onEvent(this, name, args);
  }

  return (socket) => void socket.onAny(listener);
}
