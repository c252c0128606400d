import { type Dialect, isNewMessage } from './dialect.ts';
import { envelope, packet, ROOM } from './messages.ts';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const LETTER_M = 0x4d;
const SPACE = 0x20;
const ZERO = 0x30;

/** `MSG <subject> <id> <size>`, then `size` bytes; every other message of NATS is a line. */
export const nats: Dialect = {
  path: () => '/',
  split(bytes, start, end, read) {
    for (let at = start; at < end; ) {
      const lineEnd = bytes.indexOf(LINE_FEED, at);
      if (lineEnd < 0 || lineEnd >= end) throw new Error('NATS cut a line in two');
      if (bytes[at] !== LETTER_M) {
        read(bytes, at, lineEnd);
        at = lineEnd + 1;
        continue;
      }
      let size = 0;
      let digit = bytes[lineEnd - 1] === CARRIAGE_RETURN ? lineEnd - 2 : lineEnd - 1;
      for (let scale = 1; bytes[digit] !== SPACE; scale *= 10, digit -= 1)
        size += ((bytes[digit] ?? ZERO) - ZERO) * scale;
      if (lineEnd + 1 + size > end) throw new Error('NATS cut a message in two');
      read(bytes, lineEnd + 1, lineEnd + 1 + size);
      at = lineEnd + 1 + size + 2;
    }
  },
  isMessage: isNewMessage,
  onControl(role, line, _auth, room) {
    // Verbose: the server says +OK to everything, which is an acknowledgement.
    const connect = `CONNECT ${JSON.stringify({ verbose: role === 'publisher', echo: false })}\r\n`;
    if (line.startsWith('INFO')) return { reply: `${connect}${role === 'member' ? `SUB ${room} 1\r\n` : ''}PING\r\n` };
    if (line.startsWith('PING')) return { reply: 'PONG\r\n' };
    if (line.startsWith('-ERR')) throw new Error(`NATS refused a ${role}: ${line}`);
    return { ready: line.startsWith('PONG') };
  },
  publish(message) {
    const payload = packet(message);
    return `PUB ${ROOM} ${payload.length}\r\n${payload}\r\n`;
  },
  isAcknowledgement: (line) => line.startsWith('+OK'),
};

/** A location each to publish and to subscribe; a publisher is told about the channel each time. */
export const nchan: Dialect = {
  path: (role) => (role === 'member' ? '/subscribe' : '/publish'),
  readyWhenOpen: true,
  isMessage: isNewMessage,
  onControl: () => ({}),
  publish: (message) => packet(message),
  isAcknowledgement: (text) => text.startsWith('queued messages'),
};

const HANDSHAKE = '{"event":"#handshake","data":{"authToken":null},"cid":1}';
const PUBLISHED = Buffer.from('{"event":"#publish"');

/** SocketCluster's protocol of version 2. */
export const socketCluster: Dialect = {
  path: () => '/socketcluster/',
  greet: () => HANDSHAKE,
  isMessage: (bytes, start, end) =>
    bytes.compare(PUBLISHED, 0, PUBLISHED.length, start, Math.min(end, start + PUBLISHED.length)) === 0,
  onControl(role, text, _auth, room) {
    if (text === '') return { reply: '' };
    if (text.includes('"error"')) throw new Error(`SocketCluster refused a ${role}: ${text}`);
    if (role === 'member' && text.startsWith('{"rid":1,')) {
      return { reply: `{"event":"#subscribe","data":{"channel":"${room}"},"cid":2}` };
    }
    return { ready: text.startsWith(role === 'member' ? '{"rid":2' : '{"rid":1') };
  },
  publish: (message, n) =>
    JSON.stringify({ event: '#publish', data: { channel: ROOM, data: envelope(message) }, cid: n + 2 }),
  isAcknowledgement: (text) => text.startsWith('{"rid":'),
};
