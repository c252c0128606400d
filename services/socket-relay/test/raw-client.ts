import { tokenFor, until } from '@groupcast/testing';
import { type ClientOptions, WebSocket } from 'ws';

/** A frame of the raw door. */
export interface Frame {
  type: string;
  [field: string]: unknown;
}

export interface RawClient {
  webSocket: WebSocket;
  frames: Frame[];
  /** Sends a text or bytes as they are, and anything else as JSON. */
  send(frame: unknown): void;
  /** The answer to a command, or the code it was refused with. */
  ask(type: string, fields?: object): Promise<Record<string, unknown> | string>;
  /** The first frame of a type that has come or comes. */
  frame(type: string, matches?: (frame: Frame) => boolean): Promise<Frame>;
  /** How it was closed. */
  closed(): Promise<{ code: number; reason: string }>;
  close(): void;
}

const WAIT_MS = 8_000;

/** Opens a plain WebSocket, and resolves once it is open. */
export async function openRawClient(
  url: string,
  { protocols = [], ...options }: ClientOptions & { protocols?: string[] } = {},
): Promise<RawClient> {
  const webSocket = new WebSocket(url.replace(/^http/, 'ws'), protocols, options);
  const frames: Frame[] = [];
  let ended: { code: number; reason: string } | undefined;
  let nextId = 1;
  webSocket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString()) as Frame));
  webSocket.on('close', (code, reason) => {
    ended = { code, reason: reason.toString() };
  });
  await new Promise<void>((resolve, reject) => webSocket.once('open', resolve).once('error', reject));
  webSocket.on('error', () => undefined);

  function send(what: unknown): void {
    webSocket.send(typeof what === 'string' || Buffer.isBuffer(what) ? what : JSON.stringify(what));
  }
  async function frame(type: string, matches: (each: Frame) => boolean = () => true): Promise<Frame> {
    const found = (): Frame | undefined => frames.find((each) => each.type === type && matches(each));
    await until(`a frame ${type}`, () => found() !== undefined, WAIT_MS);
    return found() as Frame;
  }
  return {
    webSocket,
    frames,
    send,
    frame,
    async ask(type, fields = {}) {
      const id = nextId;
      nextId += 1;
      send({ type, id, ...fields });
      const { type: _type, id: _id, ...answer } = await frame('ack', (each) => each['id'] === id);
      return answer['ok'] === true ? answer : (answer['error'] as { code: string }).code;
    },
    async closed() {
      await until('the end of the connection', () => ended !== undefined, WAIT_MS);
      return ended as { code: number; reason: string };
    },
    close: () => webSocket.terminate(),
  };
}

/** A user who is connected and has heard which groups it is in. */
export async function rawMember(url: string, userId: string, groups: readonly string[] = []): Promise<RawClient> {
  const client = await openRawClient(url);
  client.send({ type: 'auth', token: await tokenFor(userId, groups) });
  await client.frame('joined-groups');
  return client;
}
