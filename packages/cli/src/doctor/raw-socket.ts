import { randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { reasonOf } from './ask.ts';
import { NoConnection } from './sockets.ts';

/** A plain WebSocket, as much of one as a canary needs: texts out, texts in, and an answer to pings. */
export interface RawSocket {
  send(frame: object): void;
  /** Resolves with the first frame that contains `text`, from those that have come too; `undefined` after `ms`. */
  heard(text: string, ms: number): Promise<string | undefined>;
  close(): void;
}

const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
const MAX_FRAMES = 1_000;

/** A frame of a client, whose payload is masked (RFC 6455, section 5.3). */
function encode(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const mask = randomBytes(4);
  const header =
    length < 126
      ? Buffer.from([0x80 | opcode, 0x80 | length])
      : Buffer.from([0x80 | opcode, 0xfe, length >> 8, length & 0xff]);
  const masked = payload.map((byte, n) => byte ^ (mask[n % 4] ?? 0));
  return Buffer.concat([header, mask, masked]);
}

/** Reads one whole frame of a server from the front of `bytes`. */
function decode(bytes: Buffer): { opcode: number; payload: Buffer; rest: Buffer } | undefined {
  if (bytes.length < 2) return undefined;
  const short = (bytes[1] ?? 0) & 0x7f;
  const start = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length < start) return undefined;
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (bytes.length < start + length) return undefined;
  const payload = bytes.subarray(start, start + length);
  return { opcode: (bytes[0] ?? 0) & 0xf, payload, rest: bytes.subarray(start + length) };
}

function overStream(stream: Duplex, head: Buffer): RawSocket {
  const frames: string[] = [];
  const listeners = new Set<() => void>();
  let bytes = head;
  const read = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    for (let frame = decode(bytes); frame; frame = decode(bytes)) {
      bytes = frame.rest;
      if (frame.opcode === PING) stream.write(encode(PONG, frame.payload));
      if (frame.opcode !== TEXT && frame.opcode !== CLOSE) continue;
      if (frames.length === MAX_FRAMES) frames.shift();
      frames.push(frame.payload.toString('utf8'));
      for (const listener of listeners) listener();
    }
  };
  stream.on('error', () => undefined);
  stream.on('data', read);
  read(Buffer.alloc(0));
  return {
    send: (frame) => void stream.write(encode(TEXT, Buffer.from(JSON.stringify(frame)))),
    async heard(text, ms) {
      const find = (): string | undefined => frames.find((frame) => frame.includes(text));
      return new Promise((resolve) => {
        const settle = (): void => {
          clearTimeout(timer);
          listeners.delete(look);
          resolve(find());
        };
        const look = (): void => {
          if (find() !== undefined) settle();
        };
        const timer = setTimeout(settle, ms);
        listeners.add(look);
        look();
      });
    },
    close: () => void stream.destroy(),
  };
}

/** Opens a WebSocket. Throws `NoConnection` where it fails, or takes longer than `ms`. */
export async function openRawSocket(url: string, ms: number): Promise<RawSocket> {
  const send = url.startsWith('https:') ? https.request : http.request;
  const headers = {
    'user-agent': 'groupcast-doctor',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64'),
  };
  return new Promise((resolve, reject) => {
    const request = send(url, { agent: false, headers });
    const timer = setTimeout(() => {
      reject(new NoConnection(`no answer within ${ms} ms`, { isSilent: true }));
      request.destroy();
    }, ms);
    const fail = (message: string): void => {
      clearTimeout(timer);
      reject(new NoConnection(message));
    };
    request.on('upgrade', (_response, stream, head) => {
      clearTimeout(timer);
      resolve(overStream(stream, head));
    });
    request.on('response', ({ statusCode }) => {
      fail(`HTTP ${statusCode}`);
      request.destroy();
    });
    request.on('error', (error) => fail(reasonOf(error)));
    request.end();
  });
}
