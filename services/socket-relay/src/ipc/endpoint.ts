/** One end of a channel between two processes. It keeps the order of messages. */
export interface Port {
  /** Calls `sent` once the message has left this process, with an error if it could not. */
  post(message: object, sent?: (error: Error | null) => void): void;
  onMessage(listener: (message: unknown) => void): void;
}

type Handler = (...args: never[]) => unknown;

/** Calls over a `Port`. Calls begin on the other side in the order in which they were made. */
export interface Endpoint {
  /** Rejects if the other side has failed, or has not answered in time. */
  ask<T>(method: string, ...args: unknown[]): Promise<T>;
  /** Calls, and asks for no answer. */
  tell(method: string, ...args: unknown[]): void;
  /** Does the same, and calls `sent` when the message has left. */
  post(method: string, args: readonly unknown[], sent: () => void): void;
  /** Carries out the calls of the other side. What the handler throws is the answer to an `ask`. */
  answer(method: string, handler: Handler): void;
  /** Rejects the open calls: the other side is gone. */
  close(): void;
}

/** The calls that one side answers: an interface of functions. */
type Functions<C> = { [K in keyof C]: (...args: never[]) => unknown };

/** The other side of an endpoint, with the types of the calls that it answers. */
export interface Remote<C extends Functions<C>> {
  ask<K extends keyof C & string>(method: K, ...args: Parameters<C[K]>): Promise<Awaited<ReturnType<C[K]>>>;
  tell<K extends keyof C & string>(method: K, ...args: Parameters<C[K]>): void;
  post<K extends keyof C & string>(method: K, args: Parameters<C[K]>, sent: () => void): void;
}

/** The same endpoint, with types: both sides have to name the same interface. */
export function remoteOf<C extends Functions<C>>(endpoint: Endpoint): Remote<C> {
  return endpoint;
}

/** Answers the given calls, with their types. */
export function answerCalls<C extends Functions<C>>(endpoint: Endpoint, handlers: Partial<C>): void {
  for (const [method, handler] of Object.entries(handlers)) endpoint.answer(method, handler as Handler);
}

/** How long an answer may take, in milliseconds. */
const TIMEOUT_MS = 2_000;
const OURS = 'groupcast';

interface Message {
  [OURS]: 'ask' | 'tell' | 'answer';
  id?: number;
  method?: string;
  args?: unknown[];
  value?: unknown;
  error?: string;
}

function isOurs(message: unknown): message is Message {
  return typeof message === 'object' && message !== null && OURS in message;
}

export function createEndpoint(port: Port, timeoutMs = TIMEOUT_MS): Endpoint {
  const handlers = new Map<string, Handler>();
  const open = new Map<number, { settle: (message: Message) => void; fail: (error: Error) => void }>();
  let lastId = 0;
  let closed = false;

  async function serve({ [OURS]: kind, id, method = '', args = [] }: Message): Promise<void> {
    const handler = handlers.get(method);
    const answer = (outcome: object): void => {
      if (kind === 'ask') port.post({ [OURS]: 'answer', id, ...outcome });
    };
    try {
      if (!handler) throw new Error(`nobody answers "${method}"`);
      answer({ value: await handler(...(args as never[])) });
    } catch (error) {
      answer({ error: error instanceof Error ? error.message : String(error) });
    }
  }

  port.onMessage((message) => {
    if (!isOurs(message) || closed) return;
    if (message[OURS] === 'answer') open.get(message.id ?? 0)?.settle(message);
    else void serve(message);
  });

  return {
    async ask<T>(method: string, ...args: unknown[]): Promise<T> {
      if (closed) throw new Error(`unable to ask "${method}"; the channel is closed`);
      lastId += 1;
      const id = lastId;
      let timer: NodeJS.Timeout | undefined;
      try {
        return await new Promise<T>((resolve, reject) => {
          const settle = ({ value, error }: Message): void => {
            if (error === undefined) resolve(value as T);
            else reject(new Error(error));
          };
          open.set(id, { settle, fail: reject });
          timer = setTimeout(() => reject(new Error(`no answer to "${method}" in ${timeoutMs} ms`)), timeoutMs);
          port.post({ [OURS]: 'ask', id, method, args }, (error) => {
            if (error) reject(error);
          });
        });
      } finally {
        clearTimeout(timer);
        open.delete(id);
      }
    },
    tell: (method, ...args) => port.post({ [OURS]: 'tell', method, args }),
    post: (method, args, sent) => port.post({ [OURS]: 'tell', method, args: [...args] }, sent),
    answer: (method, handler) => void handlers.set(method, handler),
    close() {
      closed = true;
      for (const { fail } of open.values()) fail(new Error('the channel is closed'));
    },
  };
}
