import type { Logger } from '@groupcast/service-kit';
import { GroupcastError, toErrorBody } from '@groupcast/shared';
import type { RelaySocket } from '../sessions/session.ts';
import { nearestEvent } from './nearest-name.ts';

/**
 * The answer to an event. A function is called in the turn in which the acknowledgement leaves, for answers that must not be overtaken by a
 * live event.
 */
export type EventAnswer = object | (() => object);
export type EventHandler<S extends RelaySocket> = (socket: S, payload: unknown) => EventAnswer | Promise<EventAnswer>;

function unknownEvent(event: string, handlers: object): GroupcastError {
  const near = nearestEvent(event, Object.keys(handlers));
  const advice = near === undefined ? '' : `, perhaps "${near}" is meant`;
  return new GroupcastError(
    'UNKNOWN_EVENT',
    `unable to accept "${event.slice(0, 64)}"; there is no such event${advice}`,
  );
}

/**
 * Every event that a connection sends goes through here: known or not, allowed or not, it is answered once, whatever happens.
 * A client that asked for no acknowledgement gets none. Returns a function that begins to route the events of one connection.
 */
export function createEventRouter<S extends RelaySocket>(options: {
  handlersOf: (socket: S) => Readonly<Record<string, EventHandler<S>>>;
  /** Returns the handler of an event that these do not have, if there is one. */
  otherwise?: (event: string) => EventHandler<S> | undefined;
  /** Throws if the connection may not send this event, known or not. */
  guard: (socket: S, event: string) => void;
  onFailure: (socket: S, event: string, error: unknown) => void;
  log: Logger;
}): (socket: S) => void {
  const { handlersOf, guard, onFailure, log } = options;

  async function handle(socket: S, event: string, payload: unknown): Promise<EventAnswer> {
    guard(socket, event);
    const handlers = handlersOf(socket);
    const handler = Object.hasOwn(handlers, event) ? handlers[event] : options.otherwise?.(event);
    if (!handler) throw unknownEvent(event, handlers);
    return handler(socket, payload);
  }

  // Socket.IO's parser lets numbers, and nothing at all, through as an event's name.
  function onEvent(socket: S, name: unknown, args: readonly unknown[]): void {
    const event = typeof name === 'string' ? name : '';
    const last = args.at(-1);
    const acknowledge = typeof last === 'function' ? (last as (answer: object) => void) : undefined;
    const payload = acknowledge && args.length === 1 ? undefined : args[0];

    function refuse(error: unknown): void {
      if (!(error instanceof GroupcastError)) log.error({ err: error, event }, 'event failed');
      onFailure(socket, event, error);
      acknowledge?.({ ok: false, error: toErrorBody(error) });
    }

    handle(socket, event, payload).then((answer) => {
      try {
        const fields = typeof answer === 'function' ? (answer as () => object)() : answer;
        acknowledge?.({ ok: true, ...fields });
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
