import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { type ClientEvent, type ClientEventAnswer, GroupcastError, markSchema, parsePayload } from '@groupcast/shared';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestBudgets } from '../http/request-budgets.ts';
import { type RequestTurns, yieldTurn } from '../http/request-turns.ts';
import { editMessageBody, groupParams, messageParams, sendMessageBody } from '../http/schemas.ts';
import {
  deleteMessage,
  editMessage,
  locateMessage,
  type MessageDeps,
  sendMessage,
} from '../messages/message-service.ts';
import type { UserStore } from '../users/user-store.ts';

export interface ClientEventDeps {
  messages: MessageDeps;
  users: UserStore;
  budgets: Pick<RequestBudgets, 'countUser' | 'noteRefusal'>;
  turns: RequestTurns;
  /** Whether copies by the other way are found: there is a dialect with such clients in `API_DIALECTS`. */
  pairsCopies: boolean;
  log: Logger;
}

/**
 * Carries out the commands that users send over their sockets, as their HTTP requests are: with the same rights, the same limits, out of the
 * same budget and in the same queues, and with the same codes. Answers the acknowledgement, also of a refusal; throws for a failure of its
 * own only.
 */
export type ClientEventDoor = (
  event: ClientEvent,
  request: FastifyRequest,
  reply: FastifyReply,
) => Promise<ClientEventAnswer>;

/** One command: it reads the payload, as the body and the path of its HTTP twin are read, and answers how it is carried out. */
type Command = (payload: unknown) => (deps: MessageDeps, userId: string) => Promise<object>;

const sendPayload = groupParams.and(sendMessageBody);
const editPayload = messageParams.and(editMessageBody);

/** Whether the client sends the same message by HTTP too, as its dialect says: they are one. */
function isAlsoByHttp(payload: unknown): boolean {
  return (payload as { alsoByHttp?: unknown } | null)?.alsoByHttp === true;
}

function markCommand(event: string): Command {
  return (payload) => {
    const { groupId, messageId } = parsePayload(markSchema, payload, event);
    if (messageId === undefined) {
      throw new GroupcastError('INVALID_PAYLOAD', `unable to accept ${event}; messageId is missing: a seq is a cursor`);
    }
    // The relay reports the cursor, as one that came by its seq.
    return async (deps, userId) => ({ seq: await locateMessage(deps, { groupId, messageId, userId }) });
  };
}

const COMMANDS: Readonly<Record<string, Command>> = {
  'send-message': (payload) => {
    const input = parsePayload(sendPayload, payload, 'send-message');
    const way = isAlsoByHttp(payload) ? ('socket' as const) : undefined;
    return async (deps, userId) => ({ message: await sendMessage(deps, { ...input, userId, way }) });
  },
  'edit-message': (payload) => {
    const input = parsePayload(editPayload, payload, 'edit-message');
    return async (deps, userId) => ({ message: await editMessage(deps, { ...input, userId }) });
  },
  'delete-message': (payload) => {
    const input = parsePayload(messageParams, payload, 'delete-message');
    return async (deps, userId) => {
      await deleteMessage(deps, { ...input, userId });
      return {};
    };
  },
  'mark-delivered': markCommand('mark-delivered'),
  'mark-read': markCommand('mark-read'),
};

function commandOf(event: string): Command {
  const command = Object.hasOwn(COMMANDS, event) ? COMMANDS[event] : undefined;
  if (command) return command;
  throw new GroupcastError('UNKNOWN_EVENT', `unable to accept "${event}"; the API has no such event`);
}

export function createClientEventDoor(deps: ClientEventDeps): ClientEventDoor {
  const { messages, users, budgets, turns, pairsCopies, log } = deps;
  const warn = warnOnceEvery(60_000);

  function noteUnpaired({ dialect }: ClientEvent): void {
    warn('copies', (suppressed) => {
      const message = `clients of the dialect "${dialect}" send each message by socket and by HTTP, and it is saved twice: list the dialect in API_DIALECTS`;
      log.warn({ dialect, suppressed }, message);
    });
  }

  async function carryOut(event: ClientEvent, request: FastifyRequest, reply: FastifyReply): Promise<object> {
    const { userId } = event;
    if (!pairsCopies && isAlsoByHttp(event.payload)) noteUnpaired(event);
    budgets.countUser(userId);
    const onRefused = (): void => budgets.noteRefusal('queue', { userId });
    return turns.serve(
      { key: userId, request, reply, onRefused },
      {
        read: () => commandOf(event.event)(event.payload),
        async work(run) {
          await users.rememberId(userId);
          // Messages are saved together, as many as wait.
          if (event.event === 'send-message') yieldTurn(request);
          return run(messages, userId);
        },
      },
    );
  }

  return async (event, request, reply) => {
    try {
      return { ...(await carryOut(event, request, reply)), ok: true };
    } catch (error) {
      if (!(error instanceof GroupcastError)) throw error;
      log.debug({ userId: event.userId, event: event.event, code: error.code }, 'event refused');
      return { ok: false, error: { ...error.toBody() } };
    }
  };
}
