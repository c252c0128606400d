// The parts that attacks are made of. Everything goes to loopback, for a few seconds, with bounded counts.
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect, type Socket as NetSocket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket } from 'ws';

export interface Address {
  relayUrl: string;
  apiUrl: string;
}

/** How long an attack that repeats itself goes on, in milliseconds. */
export const ATTACK_MS = 8_000;
const GIVE_UP_MS = 20_000;

export const SEPARATOR = '\u001e';
const POLLING = '/socket.io/?EIO=4&transport=polling';

/** The answers that the attacker got, and how often. */
export type Answers = Record<string, number>;

export function createTally(): { answers: Answers; note: (answer: string) => void } {
  const answers: Answers = {};
  return {
    answers,
    note(answer) {
      answers[answer] = (answers[answer] ?? 0) + 1;
    },
  };
}

/** Repeats the work until the attack is over, `atOnce` workers side by side. */
export async function repeat(
  atOnce: number,
  work: (worker: number) => Promise<unknown>,
  note: (answer: string) => void,
): Promise<void> {
  const until = performance.now() + ATTACK_MS;
  await Promise.all(
    Array.from({ length: atOnce }, async (_, worker) => {
      while (performance.now() < until) {
        await work(worker).catch(async (error: unknown) => {
          note(error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error));
          await pause(5);
        });
      }
    }),
  );
}

/** The attacker's own address, another one than that of everybody else; loopback has many. */
let localAddress: string | undefined;
const agent = new Agent({ keepAlive: true, maxSockets: 2_000 });

export function attackFromAddress(address: string | undefined): void {
  localAddress = address;
}

export async function http(
  url: string,
  options: { method?: string; body?: string; token?: string } = {},
): Promise<{ status: number; text: string }> {
  const { method = 'GET', body, token } = options;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined
        ? {}
        : { 'content-type': url.includes('/socket.io/') ? 'text/plain' : 'application/json' }),
    };
    const outgoing = request(
      url,
      { method, headers, agent, ...(localAddress ? { localAddress } : {}), timeout: GIVE_UP_MS },
      resolve,
    );
    outgoing.once('error', reject).once('timeout', () => outgoing.destroy(new Error('no answer')));
    outgoing.end(body);
  });
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, text };
}

export async function openSession(relayUrl: string): Promise<string> {
  const { text } = await http(`${relayUrl}${POLLING}`);
  return (JSON.parse(text.slice(1)) as { sid: string }).sid;
}

/** A long-polling session of Engine.IO. */
export async function openPolling(relayUrl: string) {
  const url = `${relayUrl}${POLLING}&sid=${await openSession(relayUrl)}`;
  return {
    post: async (body: string) => http(url, { method: 'POST', body }),
    poll: async () => http(url),
  };
}

export interface RawSocket {
  send(packet: string | Buffer): void;
  webSocket: WebSocket;
  wire: NetSocket;
  /** Resolves with the first code that was said. */
  told: Promise<string>;
  /** Resolves with the last thing that was said before the end. */
  ended: Promise<string>;
}

/** The code in a message of the relay. */
export function codeIn(text: string): string {
  return /"code":"([A-Z_]+)"/.exec(text)?.[1] ?? (text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

export async function openWebSocket(relayUrl: string): Promise<RawSocket> {
  const webSocket = new WebSocket(
    `${relayUrl.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`,
    localAddress ? { localAddress } : {},
  );
  let last = 'closed';
  const ended = new Promise<string>((resolve) => {
    webSocket.on('close', () => resolve(last));
  });
  const told = new Promise<string>((resolve) => {
    webSocket.on('message', (data: Buffer) => {
      const text = data.toString();
      if (text === '2') webSocket.send('3');
      else if (text.includes('"code":"')) {
        last = codeIn(text);
        resolve(last);
      }
    });
  });
  await new Promise((resolve, reject) =>
    webSocket.once('message', resolve).once('error', reject).once('close', reject),
  );
  webSocket.on('error', () => undefined);
  const { _socket: wire } = webSocket as unknown as { _socket: NetSocket };
  return { send: (packet) => webSocket.send(packet), webSocket, wire, told, ended };
}

/** A connection that has authenticated. */
export async function openAs(relayUrl: string, token: string, positions?: object): Promise<RawSocket> {
  const socket = await openWebSocket(relayUrl);
  const ready = new Promise<void>((resolve, reject) => {
    socket.webSocket.on('message', (data: Buffer) => {
      if (data.includes('joined-groups')) resolve();
    });
    socket.ended.then((why) => reject(new Error(why)), reject);
  });
  socket.send(`40${JSON.stringify({ token, positions })}`);
  await ready;
  return socket;
}

export async function openTcp(url: string): Promise<NetSocket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname, ...(localAddress ? { localAddress } : {}) });
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  socket.on('error', () => undefined);
  return socket;
}
