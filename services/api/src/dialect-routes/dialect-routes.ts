import type { Dialect, HttpCommandName, HttpRoute } from '@groupcast/dialects';
import { type HttpScope, sendJson } from '@groupcast/service-kit';
import { type Message, parsePayload } from '@groupcast/shared';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { callerOf } from '../http/authenticate.ts';
import { yieldTurn } from '../http/request-turns.ts';
import { groupParams, listMessagesQuery, sendMessageBody, sendMessageHeaders } from '../http/schemas.ts';
import { listMessages, type MessageDeps, sendMessage } from '../messages/message-service.ts';
import type { OnlineUsers } from './online-users.ts';

export interface DialectRouteDeps {
  messages: MessageDeps;
  online: OnlineUsers;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Carries out what was asked, in our own words and checked; set before a request has its turn. */
    mapped: ((deps: DialectRouteDeps, userId: string) => Promise<object>) | null;
  }
}

/** Reads what a route's template has made of a request, and answers how it is carried out. Throws `INVALID_PAYLOAD`. */
type Command = (input: unknown, request: FastifyRequest) => NonNullable<FastifyRequest['mapped']>;

const sendInput = groupParams.and(sendMessageBody);
const listInput = groupParams.and(listMessagesQuery);

/** Adds to each message whether its sender is there. */
const showOnline = (messages: readonly Message[], isOnline: (userId: string) => boolean): object[] =>
  messages.map((message) => ({ ...message, sender: { ...message.sender, isOnline: isOnline(message.senderId) } }));

/** A query has texts, also where a template has made numbers of them. */
function textsOf(input: unknown): unknown {
  if (typeof input !== 'object' || input === null) return input;
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => [name, typeof value === 'number' ? String(value) : value]),
  );
}

const COMMANDS: Readonly<Record<HttpCommandName, Command>> = {
  'send-message': (input, request) => {
    const { clientMessageId: own, ...fields } = parsePayload(sendInput, input, 'the message');
    const { 'idempotency-key': key, traceparent } = parsePayload(sendMessageHeaders, request.headers, 'the request');
    const clientMessageId = own ?? key;
    return async ({ messages }, userId) => {
      // Messages are saved together, as many as wait.
      yieldTurn(request);
      const message = await sendMessage(messages, { ...fields, clientMessageId, traceparent, userId, way: 'http' });
      // A user who sends is there.
      const [shown] = showOnline([message], () => true);
      return { message: shown };
    };
  },
  'list-messages': (input, request) => {
    const asked = parsePayload(listInput, textsOf(input), 'the request');
    return async ({ messages, online }, userId) => {
      const page = await listMessages(messages, { ...asked, userId });
      // The relay is asked, which the database need not wait for.
      yieldTurn(request);
      const senders = [...new Set(page.messages.map(({ senderId }) => senderId))];
      const there = await online.among(asked.groupId, senders);
      return { ...page, messages: showOnline(page.messages, (senderId) => there.has(senderId)) };
    };
  },
};

/** The rights, limits and codes are those of our own routes. A front end's refusals are not described: they are as its dialect makes them. */
function schemaOf({ name }: Dialect, { command, status }: HttpRoute): object {
  const says: Record<HttpCommandName, string> = {
    'send-message': 'Save a message; it will be relayed',
    'list-messages': 'A page of messages by seq, newest last',
  };
  const response = { [status]: z.unknown().describe(`As the dialect ${name} says it`) };
  return { summary: says[command], tags: [name], security: [{ bearer: [] }], response };
}

/**
 * The routes of dialects. Add them to a scope that has found out the caller and takes turns, and that checks nothing of a request by itself:
 * parameters that a route does not read are left alone, since an existing front end may send some.
 */
export function dialectRoutes(scope: HttpScope, deps: DialectRouteDeps, dialects: readonly Dialect[]): void {
  scope.decorateRequest('mapped', null);
  for (const dialect of dialects) {
    for (const route of dialect.http) {
      scope.route({
        method: route.method,
        url: route.path,
        schema: schemaOf(dialect, route),
        // Before the request has its turn with the database, as a malformed one of our own routes is refused.
        preValidation: async (request: FastifyRequest) => {
          const { params, query, body } = request;
          request.mapped = COMMANDS[route.command](route.input({ params, query, body }), request);
        },
        handler: async (request: FastifyRequest, reply: FastifyReply) => {
          const { mapped } = request;
          if (!mapped) throw new Error('a mapped route runs without its input');
          const result = await mapped(deps, callerOf(request).userId);
          return sendJson(reply.status(route.status), route.answer(result));
        },
      });
    }
  }
}
