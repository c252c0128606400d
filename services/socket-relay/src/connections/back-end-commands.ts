import {
  type ClientEventAnswer,
  type Cursors,
  deleteMessageSchema,
  editMessageSchema,
  GroupcastError,
  isErrorCode,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  markSchema,
  type Position,
  parsePayload,
  sendMessageSchema,
} from '@groupcast/shared';
import type { z } from 'zod';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import { messageIdOfSocket } from '../sessions/message-sender.ts';
import type { UserSocket } from '../sessions/session.ts';
import { dialectOf } from '../sessions/voices.ts';
import type { ApiClient } from '../upstream/api-client.ts';
import { createCallQueue } from '../upstream/call-queue.ts';
import type { EventHandler } from './event-router.ts';

export interface BackEndDeps {
  /** Without a back end, what needs one is answered `API_UNAVAILABLE`. */
  api: Pick<ApiClient, 'sendEvent'> | undefined;
  metrics: Pick<RelayMetrics, 'eventsRefused'>;
}

/**
 * Asks the back end to carry out an event of a user who has been authenticated, and returns the acknowledgement. Throws `NOT_A_MEMBER` where
 * the event is about a group that the connection is not in; further rules are the back end's.
 */
export type AskBackEnd = (
  socket: UserSocket,
  asked: { event: string; payload: JsonValue; groupId?: string },
) => Promise<ClientEventAnswer>;

export function createBackEndQuestions({ api, metrics }: BackEndDeps): AskBackEnd {
  return async (socket, { event, payload, groupId }) => {
    const { session } = socket.data;
    if (groupId !== undefined && !session.groups.has(groupId)) {
      throw new GroupcastError(
        'NOT_A_MEMBER',
        `unable to accept "${event}"; the connection is not in group "${groupId}"`,
      );
    }
    if (!api) {
      throw new GroupcastError('API_UNAVAILABLE', `unable to accept "${event}"; this relay has no back end`, {
        retryable: false,
      });
    }
    const { userId } = session;
    const named = groupId === undefined ? {} : { groupId };
    const answer = await api.sendEvent({
      userId,
      socketId: socket.id,
      event,
      payload,
      ...named,
      dialect: dialectOf(socket).name,
    });
    if (!answer.ok) {
      const { code } = answer.error;
      metrics.eventsRefused.inc({ code: isErrorCode(code) ? code : 'OTHER' });
    }
    return answer;
  };
}

/**
 * Messages of one connection to one group are sent one after the other, so that they are saved in the order in which they were said: two
 * requests may overtake each other. Those that wait behind one that hangs are refused before it is.
 */
const IN_ORDER = { atOnce: 1_000, atOncePerUser: 1, waiting: 1_000, waitingPerUser: 32, maxWaitMs: 2_500 };

type CommandName = 'send-message' | 'edit-message' | 'delete-message' | 'mark-delivered' | 'mark-read';

/** Handles the commands of a conversation that the back end carries out. */
export function createBackEndCommands(
  deps: BackEndDeps & {
    reportCursors: (socket: UserSocket, reported: Record<string, Cursors>) => object;
    /** Where a group stands, as far as it has come by here. */
    positionOf: (groupId: string) => Position | null;
  },
): Readonly<Record<CommandName, EventHandler<UserSocket>>> {
  const askBackEnd = createBackEndQuestions(deps);
  const inOrder = createCallQueue(IN_ORDER);
  let sent = 0;

  /** A client that gives its messages no name of their own does not repeat them; the back end sees which connection each came by. */
  function nameOf(socket: UserSocket, own: JsonObject): JsonObject {
    if (!socket.data.session.dialect || own['clientMessageId'] !== undefined) return {};
    sent += 1;
    return { clientMessageId: messageIdOfSocket(socket.id, sent) };
  }

  function command(event: CommandName, schema: z.ZodType<{ groupId: string }>): EventHandler<UserSocket> {
    return async (socket, payload) => {
      const { groupId, ...fields } = parsePayload(schema, payload, event);
      // Fields that the relay does not know are for a back end that does.
      const own = isJsonObject(payload) ? payload : {};
      const sayings = { ...own, ...fields, groupId };
      if (event !== 'send-message') return askBackEnd(socket, { event, payload: sayings, groupId });
      const asked = { event, payload: { ...sayings, ...nameOf(socket, own) }, groupId };
      return inOrder.run(`${socket.id} ${groupId}`, async () => askBackEnd(socket, asked));
    };
  }

  function mark(event: CommandName, cursor: 'received' | 'read'): EventHandler<UserSocket> {
    return async (socket, payload) => {
      const { groupId, seq, messageId } = parsePayload(markSchema, payload, event);
      if (messageId === undefined) {
        const upTo = seq ?? deps.positionOf(groupId)?.seq ?? 0;
        deps.reportCursors(socket, { [groupId]: { [cursor]: upTo } });
        return seq === undefined ? { seq: upTo } : {};
      }
      const answer = await askBackEnd(socket, { event, payload: { groupId, messageId }, groupId });
      if (!answer.ok) return answer;
      const at = answer['seq'];
      if (!Number.isSafeInteger(at) || Number(at) < 0) {
        throw new GroupcastError('API_UNAVAILABLE', `unable to ask the API; its answer to ${event} has no seq`);
      }
      deps.reportCursors(socket, { [groupId]: { [cursor]: Number(at) } });
      return { seq: at };
    };
  }

  return {
    'send-message': command('send-message', sendMessageSchema),
    'edit-message': command('edit-message', editMessageSchema),
    'delete-message': command('delete-message', deleteMessageSchema),
    'mark-delivered': mark('mark-delivered', 'received'),
    'mark-read': mark('mark-read', 'read'),
  };
}
