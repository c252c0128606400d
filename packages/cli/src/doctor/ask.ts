import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { printable } from '../terminal.ts';

/** Bytes of an answer that are read; the rest is not of interest. */
const MAX_BYTES = 65_536;

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The answer as JSON; `undefined` where it is none. */
  json: unknown;
  /** By how many milliseconds the other side's clock is ahead of ours, as far as its `Date` says, which counts whole seconds. */
  aheadMs: number | undefined;
}

/** No answer. `silent`: the connection was taken, and nothing came in time. */
export class NoReply extends Error {
  override readonly name = 'NoReply';
  readonly silent: boolean;

  constructor(message: string, silent: boolean) {
    super(message);
    this.silent = silent;
  }
}

export interface Question {
  method?: 'GET' | 'POST' | 'OPTIONS';
  headers?: Readonly<Record<string, string>>;
  body?: string;
  timeoutMs: number;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The other clock against the middle of the question, by ours. Half a second is what `Date` leaves out on average. */
function aheadOf({ date }: IncomingHttpHeaders, askedAt: number): number | undefined {
  const theirs = Date.parse(date ?? '');
  if (Number.isNaN(theirs)) return undefined;
  return theirs + 500 - (askedAt + Date.now()) / 2;
}

/** Says in words why a request has failed: the system's code, such as ECONNREFUSED, or the message where there is none. */
export function reasonOf(error: unknown): string {
  const { code, message, errors } = error as NodeJS.ErrnoException & { errors?: unknown[] };
  // Both addresses of a name were tried.
  if (errors?.length) return reasonOf(errors[0]);
  return printable(code ?? message ?? String(error));
}

async function readReply(response: IncomingMessage, askedAt: number): Promise<Reply> {
  const aheadMs = aheadOf(response.headers, askedAt);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > MAX_BYTES) break;
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return { status: response.statusCode ?? 0, headers: response.headers, text, json: parse(text), aheadMs };
}

/** Sends one request over a connection of its own. Throws `NoReply` where no complete answer has come in time. */
export async function ask(url: string, { method = 'GET', headers = {}, body, timeoutMs }: Question): Promise<Reply> {
  const askedAt = Date.now();
  const send = url.startsWith('https:') ? https.request : http.request;
  return new Promise((resolve, reject) => {
    let opened = false;
    const request = send(url, { method, agent: false, headers: { 'user-agent': 'groupcast-doctor', ...headers } });
    const timer = setTimeout(() => {
      reject(new NoReply(opened ? `no answer within ${timeoutMs} ms` : `no connection within ${timeoutMs} ms`, opened));
      request.destroy();
    }, timeoutMs);
    const fail = (error: unknown): void => reject(new NoReply(reasonOf(error), false));
    request.on('socket', (socket) =>
      socket.once('connect', () => {
        opened = true;
      }),
    );
    request.on('response', (response) => void readReply(response, askedAt).then(resolve, fail));
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      const { headers: answered, statusCode = 0 } = response;
      resolve({ status: statusCode, headers: answered, text: '', json: undefined, aheadMs: undefined });
    });
    request.on('error', fail);
    request.on('close', () => clearTimeout(timer));
    request.end(body);
  });
}

/** The same, with `NoReply` as a value. */
export async function tryToAsk(url: string, question: Question): Promise<Reply | NoReply> {
  return ask(url, question).catch((error: unknown) => {
    if (error instanceof NoReply) return error;
    throw error;
  });
}

/** The code and the message of a refusal, where the answer is one of ours. */
export function refusalIn({ json }: Reply): { code: string; message: string; fault: string } | undefined {
  const body = json as { error?: { code?: unknown; message?: unknown; details?: { fault?: unknown } } } | undefined;
  const { code, message, details } = body?.error ?? {};
  if (typeof code !== 'string' || typeof message !== 'string') return undefined;
  return {
    code: printable(code),
    message: printable(message),
    fault: typeof details?.fault === 'string' ? printable(details.fault) : '',
  };
}
