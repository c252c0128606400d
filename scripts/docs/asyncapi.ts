import { z } from 'zod';
import { handshakeSchema, positionsSchema } from '../../packages/shared/src/index.ts';
import { refusalSchema } from '../../services/socket-relay/src/internal-http/answers.ts';
import { TO_BROWSERS, TO_MONITORS } from './event-tables.ts';
import { CLIENT_EVENTS, type EventDescription, SERVICE_EVENTS } from './events.ts';
import { type JsonSchema, jsonSchemaOf } from './json-schema.ts';

type Events = Readonly<Record<string, EventDescription>>;

const ref = (path: string): { $ref: string } => ({ $ref: `#/${path}` });

/** The kinds of connections, each with its two sides and its subject: one channel each, on one server. */
const CHANNELS: Readonly<
  Record<string, { type: string; scope: string; receives: Events; sends: Events; description: string }>
> = {
  browser: {
    type: 'user',
    scope: 'a user or connection token',
    receives: CLIENT_EVENTS,
    sends: TO_BROWSERS,
    description: 'What a browser and the relay send each other. Events of groups come under the publisher’s own names.',
  },
  backEnd: {
    type: 'api',
    scope: 'a service token of scope broadcast',
    receives: SERVICE_EVENTS,
    sends: {
      'session-ending': pickFrom(TO_BROWSERS, 'session-ending'),
      'service-state': pickFrom(TO_BROWSERS, 'service-state'),
    },
    description: 'What a trusted back end sends the relay.',
  },
  monitor: {
    type: 'monitor',
    scope: 'a service token of scope monitor',
    receives: { 'refresh-token': SERVICE_EVENTS['refresh-token'] },
    sends: { ...TO_MONITORS, 'session-ending': pickFrom(TO_BROWSERS, 'session-ending') },
    description: 'What an operator sees: ids, counts and positions, never a message.',
  },
};

function pickFrom(events: Events, name: string): EventDescription {
  const event = events[name];
  if (!event) throw new Error(`there is no event "${name}"`);
  return event;
}

/** Names in the document are of letters, digits and `-`. */
const messageId = (channel: string, name: string): string => `${channel}.${name}`;

/** AsyncAPI 3 of the Socket.IO side: every event, its payload and what its acknowledgement says. */
export function asyncApi(): JsonSchema {
  const messages: JsonSchema = {};
  const channels: JsonSchema = {};
  const operations: JsonSchema = {};
  for (const [channel, { type, scope, receives, sends, description }] of Object.entries(CHANNELS)) {
    const inChannel: Record<string, { $ref: string }> = {};
    const add = (name: string, message: JsonSchema): void => {
      const id = messageId(channel, name);
      messages[id] = { name, ...message };
      inChannel[name] = ref(`components/messages/${id}`);
    };
    for (const [name, { summary, payload, answer }] of Object.entries(receives)) {
      add(name, { summary, payload: jsonSchemaOf(payload, 'input') });
      const operation: JsonSchema = {
        action: 'receive',
        summary,
        channel: ref(`channels/${channel}`),
        messages: [ref(`channels/${channel}/messages/${name}`)],
      };
      if (answer instanceof z.ZodObject) {
        const ack = `${name}.answer`;
        const done = answer.extend({ ok: z.literal(true) });
        add(ack, {
          summary: `the acknowledgement of ${name}`,
          payload: jsonSchemaOf(z.union([done, refusalSchema]), 'output'),
        });
        operation['reply'] = {
          channel: ref(`channels/${channel}`),
          messages: [ref(`channels/${channel}/messages/${ack}`)],
        };
      }
      operations[`${channel}.receive.${name}`] = operation;
    }
    for (const [name, { summary, payload }] of Object.entries(sends)) {
      add(name, { summary, payload: jsonSchemaOf(payload, 'output') });
      operations[`${channel}.send.${name}`] = {
        action: 'send',
        summary,
        channel: ref(`channels/${channel}`),
        messages: [ref(`channels/${channel}/messages/${name}`)],
      };
    }
    channels[channel] = {
      address: '/socket.io/',
      title: `Connections of type "${type}"`,
      description: `${description} The handshake's auth has ${scope}.`,
      servers: [ref('servers/relay')],
      messages: inChannel,
    };
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Groupcast relay, Socket.IO events',
      version: '0.1.0',
      description:
        'Events of Socket.IO 4 in its namespace "/". Every event that the relay receives takes an acknowledgement. ' +
        'docs/reference/ says what each of them means.',
    },
    defaultContentType: 'application/json',
    servers: {
      relay: {
        host: 'localhost:3001',
        protocol: 'ws',
        description: 'The relay’s public port; RELAY_PORT',
        security: [ref('components/securitySchemes/auth')],
      },
    },
    channels,
    operations,
    components: {
      messages,
      schemas: {
        handshake: jsonSchemaOf(handshakeSchema.extend({ positions: positionsSchema.optional() }), 'input'),
      },
      securitySchemes: {
        auth: {
          type: 'userPassword',
          description: 'A JWT in the handshake’s `auth.token`; `components.schemas.handshake` has all of `auth`',
        },
      },
    },
  };
}
