import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { createFrameParser, type OnFrame } from './frame-parser.ts';

/** A WebSocket that does no more than a benchmark needs: text out, whole frames in, its buffer shared by all. */
export interface RawWebSocket {
  /** All texts in one write. */
  send(texts: readonly string[]): void;
}

const TEXT = 0x81;
const CLOSE = 0x88;
const PING = 0x89;
const PONG = 0x8a;
const MASKED = 0x80;
const READ_BYTES = 65_536;
/** Reads are handled before the next one begins, so one buffer serves every socket. */
const readBuffer = Buffer.allocUnsafe(READ_BYTES);

/** Masked with a key of zeros, which leaves the payload as it is. */
function clientFrame(first: number, payload: Buffer): Buffer[] {
  const { length } = payload;
  if (length < 126) return [Buffer.from([first, MASKED | length, 0, 0, 0, 0]), payload];
  const isMedium = length < 65_536;
  const head = Buffer.alloc(isMedium ? 8 : 14);
  head[0] = first;
  head[1] = MASKED | (isMedium ? 126 : 127);
  if (isMedium) head.writeUInt16BE(length, 2);
  else head.writeUInt32BE(length, 6);
  return [head, payload];
}

const pong = (payload: Buffer): Buffer => Buffer.concat(clientFrame(PONG, payload));

/**
 * Resolves once the server has agreed to the upgrade; the first frames may come before that. `onText` gets text and binary
 * messages, which must each be one frame without extensions. `onClose` is called once, when the connection ends.
 */
export async function openWebSocket(options: {
  port: number;
  path: string;
  /** Asked for in the upgrade, where the server speaks by a name. */
  subprotocol?: string;
  onText: (bytes: Buffer, start: number, end: number) => void;
  onClose: (error: Error) => void;
}): Promise<RawWebSocket> {
  const { port, path, subprotocol, onText, onClose } = options;
  let closed = false;
  let upgrade = '';

  const onFrame: OnFrame = (first, bytes, start, end) => {
    if (first === TEXT || first === 0x82) onText(bytes, start, end);
    else if (first === PING) socket.write(pong(Buffer.from(bytes.subarray(start, end))));
    else if (first === CLOSE) fail(`closed with ${bytes.toString('latin1', start + 2, end) || 'no reason'}`);
    else if (first !== PONG) throw new Error(`unable to read a frame that begins with ${first.toString(16)}`);
  };
  const parse = createFrameParser(onFrame);

  function fail(why: string): void {
    if (closed) return;
    closed = true;
    const error = new Error(`a connection to port ${port} ended: ${why}`);
    onClose(error);
    socket.destroy(error);
  }

  let onUpgraded = (): void => undefined;
  function readUpgrade(chunk: Buffer, length: number): void {
    upgrade += chunk.toString('latin1', 0, length);
    const end = upgrade.indexOf('\r\n\r\n');
    if (end < 0) return;
    if (!upgrade.startsWith('HTTP/1.1 101')) {
      fail(`the upgrade was answered ${upgrade.slice(0, 200)}`);
      return;
    }
    const rest = Buffer.from(upgrade.slice(end + 4), 'latin1');
    onBytes = parse;
    upgrade = '';
    onUpgraded();
    parse(rest, rest.length);
  }
  let onBytes = readUpgrade;

  const socket: Socket = connect({
    port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer: readBuffer,
      callback(length) {
        onBytes(readBuffer, length);
        return true;
      },
    },
  });
  await new Promise<void>((resolve, reject) => {
    onUpgraded = resolve;
    socket.on('error', (error) => {
      fail(error.message);
      reject(error);
    });
    socket.on('close', () => {
      fail('the server closed it');
      reject(new Error(`port ${port} closed a connection during its upgrade`));
    });
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      ...(subprotocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${subprotocol}`]),
    ];
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  });

  return {
    send(texts) {
      socket.write(Buffer.concat(texts.flatMap((text) => clientFrame(TEXT, Buffer.from(text)))));
    },
  };
}
