import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BroadcastInput, ErrorBody } from '@groupcast/shared';
import { Server, type Socket } from 'socket.io';

type Handler = (payload: never) => object | undefined;
type Ack = (answer: object) => void;

/** A refusal as the relay answers it. */
export const refusal = (code: string): object => ({
  ok: false,
  error: { code, message: `unable to accept; ${code}`, retryable: false } satisfies Omit<ErrorBody, 'code'> & {
    code: string;
  },
});

/** A relay on a port, of which a test programs what it answers. It accepts every broadcast unless it is told otherwise. */
export async function startRelayServer() {
  const http = createServer();
  const server = new Server(http, { transports: ['websocket'] });
  const accepted: BroadcastInput[] = [];
  const asked: { event: string; payload: unknown }[] = [];
  const handlers: Record<string, Handler> = {};
  let connectRefusal: string | undefined;

  const accept = (input: BroadcastInput): object => {
    accepted.push(input);
    const { groupId, id, epoch = '', seq = 0 } = input;
    const recipients = { connections: 0, nodes: 1 };
    return { ok: true, groupId, id, position: { epoch, seq }, duplicate: false, recipients, warnings: [] };
  };
  const defaults: Record<string, Handler> = {
    'api-broadcast-message': (input: BroadcastInput) => accept(input),
    'api-broadcast-batch': ({ items }: { items: BroadcastInput[] }) => ({ ok: true, results: items.map(accept) }),
    'api-add-members': () => ({ ok: true }),
    'api-remove-members': () => ({ ok: true }),
    'api-update-cursors': () => ({ ok: true }),
    'api-get-presence': ({ groupId }: { groupId: string }) => ({
      ok: true,
      groupId,
      users: [],
      numUsers: 0,
      numConnections: 0,
    }),
  };
  server.use((_socket, next) => {
    if (connectRefusal === undefined) return next();
    const data = { code: connectRefusal, message: `unable to connect; ${connectRefusal}`, retryable: false };
    return next(Object.assign(new Error(connectRefusal), { data }));
  });
  server.on('connection', (socket: Socket) => {
    socket.onAny((event: string, payload: unknown, ack?: Ack) => {
      asked.push({ event, payload });
      const handler = handlers[event] ?? defaults[event];
      // One that returns nothing never answers.
      const answer = handler ? handler(payload as never) : refusal('UNKNOWN_EVENT');
      if (answer) ack?.(answer);
    });
  });
  await new Promise<void>((resolve) => {
    http.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    /** Events that it has accepted, in order. */
    accepted,
    /** Payloads of these events so far. */
    askedOf: (event: string) => asked.filter((each) => each.event === event).map(({ payload }) => payload),
    on(event: string, handler: Handler) {
      handlers[event] = handler;
    },
    /** Everything is as at the start again. */
    forget() {
      for (const event of Object.keys(handlers)) delete handlers[event];
      connectRefusal = undefined;
      asked.length = 0;
    },
    /** Those who connect are refused with this code, and the others are cut off. */
    refuseConnections(code: string) {
      connectRefusal = code;
      server.disconnectSockets(true);
    },
    close: async () => server.close(),
  };
}

export type RelayServer = Awaited<ReturnType<typeof startRelayServer>>;
