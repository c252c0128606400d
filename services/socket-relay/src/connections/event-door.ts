import type { Logger } from '@groupcast/service-kit';
import { GroupcastError, toErrorBody } from '@groupcast/shared';
import type { RelaySocket } from '../relay-server.ts';

/**
 * What an event is answered with. A function is called in the same turn as the acknowledgement leaves, for answers that
 * must not be overtaken by a live event.
 */
export type EventAnswer = object | (() => object);
export type EventHandler<S extends RelaySocket> = (socket: S, payload: unknown) => EventAnswer | Promise<EventAnswer>;

/**
 * Every event a connection may send goes through here: known or not, allowed or not, answered once, whatever happens.
 * A client that asked for no acknowledgement gets none.
 */
export function openEventDoor<S extends RelaySocket>(
  socket: S,
  options: {
    handlers: Readonly<Record<string, EventHandler<S>>>;
    /** Throws where the connection may not send this event, known or not. */
    guard: (event: string) => void;
    onFailure: (event: string, error: unknown) => void;
    log: Logger;
  },
): void {
  const { handlers, guard, onFailure, log } = options;

  async function handle(event: string, payload: unknown): Promise<EventAnswer> {
    guard(event);
    const handler = Object.hasOwn(handlers, event) ? handlers[event] : undefined;
    if (!handler)
      throw new GroupcastError('UNKNOWN_EVENT', `unable to accept "${event.slice(0, 64)}"; there is no such event`);
    return handler(socket, payload);
  }

  function refuse(event: string, error: unknown, acknowledge: ((answer: object) => void) | undefined): void {
    if (!(error instanceof GroupcastError)) log.error({ err: error, event }, 'event failed');
    onFailure(event, error);
    acknowledge?.({ ok: false, error: toErrorBody(error) });
  }

  // Socket.IO's parser lets numbers, and nothing at all, through as an event's name.
  socket.onAny((name: unknown, ...args: unknown[]) => {
    const event = typeof name === 'string' ? name : '';
    const last = args.at(-1);
    const acknowledge = typeof last === 'function' ? (last as (answer: object) => void) : undefined;
    const payload = acknowledge && args.length === 1 ? undefined : args[0];
    handle(event, payload).then(
      (answer) => {
        try {
          const fields = typeof answer === 'function' ? (answer as () => object)() : answer;
          acknowledge?.({ ok: true, ...fields });
        } catch (error) {
          refuse(event, error, acknowledge);
        }
      },
      (error: unknown) => refuse(event, error, acknowledge),
    );
  });
}
