import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { addressOf, type RedisAddress, type RedisTarget } from '@groupcast/service-kit';
import { reasonOf } from './ask.ts';

export type RedisReply = string | number | null | RedisReply[];

/** Redis's own refusal, such as READONLY or NOAUTH. */
export class RedisRefusal extends Error {
  override readonly name = 'RedisRefusal';
}

/** One connection, for a few questions one after the other. */
export interface RedisAsker {
  readonly address: string;
  /** Throws `RedisRefusal` where Redis refuses, and any other error where it does not answer. */
  ask(...words: readonly string[]): Promise<RedisReply>;
  close(): void;
}

/** Largest answer, in bytes: that of INFO is a few thousand. */
const MAX_BYTES = 1_048_576;

/** Reads one answer of RESP 2 from `at`; `undefined` where it is not complete. */
export function readReply(bytes: Buffer, at = 0): { reply: RedisReply | RedisRefusal; end: number } | undefined {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd === -1) return undefined;
  const kind = bytes.toString('latin1', at, at + 1);
  const line = bytes.toString('utf8', at + 1, lineEnd);
  let end = lineEnd + 2;
  if (kind === '+') return { reply: line, end };
  if (kind === '-') return { reply: new RedisRefusal(line), end };
  if (kind === ':') return { reply: Number(line), end };
  if (kind === '$') {
    const length = Number(line);
    if (length < 0) return { reply: null, end };
    if (bytes.length < end + length + 2) return undefined;
    return { reply: bytes.toString('utf8', end, end + length), end: end + length + 2 };
  }
  if (kind !== '*') throw new Error('it speaks no RESP: is this Redis?');
  const items: RedisReply[] = [];
  for (let rest = Number(line); rest > 0; rest -= 1) {
    const item = readReply(bytes, end);
    if (!item) return undefined;
    if (!(item.reply instanceof RedisRefusal)) items.push(item.reply);
    end = item.end;
  }
  return { reply: items, end };
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

function open({ host, port }: RedisAddress, secure: boolean): Socket {
  return secure ? connectTls({ host, port, servername: host }) : connectTcp({ host, port });
}

/** Connects on the first question. Every question has `ms` for its answer, and comes after the one before it. */
export function askRedis(address: RedisAddress, { secure, ms }: { secure: boolean; ms: number }): RedisAsker {
  const socket = open(address, secure);
  let bytes: Buffer = Buffer.alloc(0);
  let waiting: { resolve: (reply: RedisReply) => void; reject: (error: unknown) => void } | undefined;
  const fail = (error: unknown): void => {
    waiting?.reject(error);
    waiting = undefined;
  };
  let failure: Error | undefined;
  socket.on('error', (error) => {
    failure = new Error(reasonOf(error));
    fail(failure);
  });
  socket.on('close', () => {
    failure ??= new Error('the connection was closed');
    fail(failure);
  });
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length > MAX_BYTES) socket.destroy();
    try {
      const read = readReply(bytes);
      if (!read) return;
      bytes = bytes.subarray(read.end);
      if (read.reply instanceof RedisRefusal) waiting?.reject(read.reply);
      else waiting?.resolve(read.reply);
      waiting = undefined;
    } catch (error) {
      fail(error);
    }
  });
  return {
    address: `${address.host}:${address.port}`,
    async ask(...words) {
      if (failure) throw failure;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => fail(new Error(`no answer within ${ms} ms`)), ms);
        const done =
          <T>(settle: (value: T) => void) =>
          (value: T): void => {
            clearTimeout(timer);
            settle(value);
          };
        waiting = { resolve: done(resolve), reject: done(reject) };
        socket.write(encode(words));
      });
    },
    close: () => void socket.destroy(),
  };
}

async function logIn(asker: RedisAsker, url: URL): Promise<void> {
  const [user, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
  if (password !== '') await asker.ask('AUTH', ...(user === '' ? [] : [user]), password);
}

/** Asks sentinels, one after the other, which server is the master. */
async function masterOf(target: RedisTarget & { kind: 'sentinel' }, ms: number): Promise<RedisAddress> {
  let problem: unknown = new Error('there is no sentinel');
  for (const sentinel of target.sentinels) {
    const asker = askRedis(sentinel, { secure: false, ms });
    try {
      const found = await asker.ask('SENTINEL', 'get-master-addr-by-name', target.master);
      if (Array.isArray(found)) return { host: String(found[0]), port: Number(found[1]) };
      problem = new Error(`the sentinels know no master "${target.master}"`);
    } catch (error) {
      problem = error;
    } finally {
      asker.close();
    }
  }
  throw problem;
}

/** Connects to every server that the URL names; of sentinels, to the master. */
export async function openRedis(target: RedisTarget, ms: number): Promise<RedisAsker[]> {
  if (target.kind === 'sentinel') {
    const asker = askRedis(await masterOf(target, ms), { secure: false, ms });
    try {
      if (target.password !== undefined) await asker.ask('AUTH', target.password);
    } catch (error) {
      asker.close();
      throw error;
    }
    return [asker];
  }
  const urls = target.kind === 'cluster' ? target.urls : [target.url];
  const askers: RedisAsker[] = [];
  try {
    for (const text of urls) {
      const asker = askRedis(addressOf(text), { secure: text.startsWith('rediss:'), ms });
      askers.push(asker);
      await logIn(asker, new URL(text));
      if (target.kind === 'server' && target.database > 0) await asker.ask('SELECT', String(target.database));
    }
    return askers;
  } catch (error) {
    for (const asker of askers) asker.close();
    throw error;
  }
}
