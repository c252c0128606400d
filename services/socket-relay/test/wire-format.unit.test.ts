import { describe, expect, test } from 'vitest';
import {
  decodeGroupMessage,
  decodeMonitorEvent,
  decodeReply,
  decodeRequest,
  encodeMessage,
  eventHeader,
  type NodeMessage,
} from '../src/wire-format.ts';

const event = { event: 'new-message', id: 'm1', groupId: 'g', epoch: '1-a', seq: 7, content: 'two\nlines' };

/** Each message, and its bytes as relays of earlier versions write and read them. */
const MESSAGES: [NodeMessage, string][] = [
  [
    { type: 'event', node: 'n1', event, exceptSocketId: 's', exceptUserId: 'u' },
    'n1\ns\nu\n{"event":"new-message","id":"m1","groupId":"g","epoch":"1-a","seq":7,"content":"two\\nlines"}',
  ],
  [
    { type: 'event', node: 'n1', event: { event: 'e', id: 'm1', groupId: 'g', epoch: null, seq: null } },
    'n1\n\n\n{"event":"e","id":"m1","groupId":"g","epoch":null,"seq":null}',
  ],
  [{ type: 'presence-changed', node: 'n1' }, 'n1\npresence'],
  [
    { type: 'request', from: 'n1', id: 3, kind: 'reached', payload: { id: '5-0' } },
    '{"from":"n1","id":3,"kind":"reached","payload":{"id":"5-0"}}',
  ],
  [{ type: 'reply', from: 'n1', id: 3, answer: { connections: 2 } }, '{"from":"n1","id":3,"answer":{"connections":2}}'],
  [{ type: 'reply', from: 'n1', id: 3, error: 'no' }, '{"from":"n1","id":3,"error":"no"}'],
  [
    {
      type: 'monitor-event',
      event: { at: 1, node: 'n1', kind: 'left', socketId: 's', userId: 'u', groupId: 'g', reason: 'left' },
    },
    '{"at":1,"node":"n1","kind":"left","socketId":"s","userId":"u","groupId":"g","reason":"left"}',
  ],
];

const DECODERS = {
  event: decodeGroupMessage,
  'presence-changed': decodeGroupMessage,
  request: decodeRequest,
  reply: decodeReply,
  'monitor-event': decodeMonitorEvent,
} satisfies Record<NodeMessage['type'], (text: string) => NodeMessage>;

describe('a message between relays', () => {
  test.each(MESSAGES)('has the bytes that relays of earlier versions know: %j', (message, bytes) => {
    expect(encodeMessage(message)).toBe(bytes);
    expect(DECODERS[message.type](bytes)).toEqual(message);
  });

  test('begins with the header that the script in Redis is given', () => {
    const [message, bytes] = MESSAGES[0] as [NodeMessage, string];
    expect(message.type).toBe('event');
    expect(bytes.startsWith(eventHeader('n1', 's'))).toBe(true);
  });

  test.each(['null', '{}', '1', '[]', '{"from":1,"id":1}', '{"from":"n1","id":"1"}', 'x'])(
    'and is neither request nor reply is an error, not a guess: %s',
    (text) => {
      expect(() => decodeRequest(text)).toThrow(/./);
      expect(() => decodeReply(text)).toThrow(/./);
    },
  );
});
