import type { HttpScope } from '@groupcast/service-kit';
import { eventsAnswer, messageAnswer, messagesAnswer, noContent } from '../http/answers.ts';
import { callerOf } from '../http/authenticate.ts';
import { yieldTurn } from '../http/request-turns.ts';
import {
  editMessageBody,
  groupParams,
  listEventsQuery,
  listMessagesQuery,
  messageParams,
  sendMessageBody,
  sendMessageHeaders,
} from '../http/schemas.ts';
import type { ApiMetrics } from '../metrics.ts';
import {
  deleteMessage,
  editMessage,
  listEvents,
  listMessages,
  type MessageDeps,
  sendMessage,
} from './message-service.ts';

const BASE = '/api/messaging/groups/:groupId';

export function messageRoutes(scope: HttpScope, deps: MessageDeps & { metrics: Pick<ApiMetrics, 'caughtUp'> }): void {
  scope.post(
    `${BASE}/messages`,
    {
      schema: {
        summary: 'Save a message; it will be relayed',
        params: groupParams,
        body: sendMessageBody,
        headers: sendMessageHeaders,
        response: {
          201: messageAnswer.describe('The message is saved; for a repeated `clientMessageId`, the first one'),
        },
      },
      config: { refusals: ['FORBIDDEN', 'NOT_FOUND'] },
    },
    async (request, reply) => {
      // Messages are saved together, as many as wait.
      yieldTurn(request);
      const clientMessageId = request.body.clientMessageId ?? request.headers['idempotency-key'];
      const message = await sendMessage(deps, {
        ...request.body,
        clientMessageId,
        traceparent: request.headers.traceparent,
        groupId: request.params.groupId,
        userId: callerOf(request).userId,
        way: 'http',
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
        response: { 200: messagesAnswer.describe('A page of messages, and where the group stood when it was read') },
      },
      config: { refusals: ['NOT_FOUND'] },
    },
    async (request) => listMessages(deps, { ...request.query, ...request.params, userId: callerOf(request).userId }),
  );
  scope.get(
    `${BASE}/events`,
    {
      schema: {
        summary: 'Catch up: every event after a position',
        params: groupParams,
        querystring: listEventsQuery,
        response: { 200: eventsAnswer.describe('Events, oldest first, and the position of the last one') },
      },
      config: { refusals: ['NOT_FOUND'] },
    },
    async (request) => {
      const page = await listEvents(deps, { ...request.query, ...request.params, userId: callerOf(request).userId });
      deps.metrics.caughtUp.inc({ by: 'client' }, page.events.length);
      return page;
    },
  );
  scope.patch(
    `${BASE}/messages/:messageId`,
    {
      schema: {
        summary: 'Edit an own message',
        params: messageParams,
        body: editMessageBody,
        response: { 200: messageAnswer.describe('The message as it is now') },
      },
      config: { refusals: ['FORBIDDEN', 'NOT_FOUND'] },
    },
    async (request) => ({
      message: await editMessage(deps, { ...request.params, ...request.body, userId: callerOf(request).userId }),
    }),
  );
  scope.delete(
    `${BASE}/messages/:messageId`,
    {
      schema: {
        summary: 'Delete an own message',
        params: messageParams,
        response: { 204: noContent('The message is deleted') },
      },
      config: { refusals: ['FORBIDDEN', 'NOT_FOUND'] },
    },
    async (request, reply) => {
      await deleteMessage(deps, { ...request.params, userId: callerOf(request).userId });
      return reply.status(204).send();
    },
  );
}
