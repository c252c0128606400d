import type { HttpScope } from '@groupcast/service-kit';
import { callerOf } from '../http/authenticate.ts';
import {
  editMessageBody,
  groupParams,
  idempotencyHeaders,
  listEventsQuery,
  listMessagesQuery,
  messageParams,
  sendMessageBody,
} from '../http/schemas.ts';
import {
  deleteMessage,
  editMessage,
  listEvents,
  listMessages,
  type MessageDeps,
  sendMessage,
} from './message-service.ts';

const BASE = '/api/messaging/groups/:groupId';

export function messageRoutes(scope: HttpScope, deps: MessageDeps): void {
  scope.post(
    `${BASE}/messages`,
    {
      schema: {
        summary: 'Save a message; it will be relayed',
        params: groupParams,
        body: sendMessageBody,
        headers: idempotencyHeaders,
      },
    },
    async (request, reply) => {
      const clientMessageId = request.body.clientMessageId ?? request.headers['idempotency-key'];
      const message = await sendMessage(deps, {
        ...request.body,
        clientMessageId,
        groupId: request.params.groupId,
        userId: callerOf(request).userId,
      });
      return reply.status(201).send({ message });
    },
  );
  scope.get(
    `${BASE}/messages`,
    {
      schema: {
        summary: 'A page of messages by seq, newest last',
        params: groupParams,
        querystring: listMessagesQuery,
      },
    },
    async (request) => listMessages(deps, { ...request.query, ...request.params, userId: callerOf(request).userId }),
  );
  scope.get(
    `${BASE}/events`,
    {
      schema: { summary: 'Catch up: every event after a position', params: groupParams, querystring: listEventsQuery },
    },
    async (request) => listEvents(deps, { ...request.query, ...request.params, userId: callerOf(request).userId }),
  );
  scope.patch(
    `${BASE}/messages/:messageId`,
    { schema: { summary: 'Edit an own message', params: messageParams, body: editMessageBody } },
    async (request) => ({
      message: await editMessage(deps, { ...request.params, ...request.body, userId: callerOf(request).userId }),
    }),
  );
  scope.delete(
    `${BASE}/messages/:messageId`,
    { schema: { summary: 'Delete an own message', params: messageParams } },
    async (request, reply) => {
      await deleteMessage(deps, { ...request.params, userId: callerOf(request).userId });
      return reply.status(204).send();
    },
  );
}
