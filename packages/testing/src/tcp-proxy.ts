import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A wire between a client and `port` that a test can spoil. */
export interface TcpProxy {
  readonly port: number;
  /** From now on the server's bytes do not arrive; the client's still do. */
  swallowAnswers(): void;
  /** The server's bytes arrive again from now on; swallowed ones do not. */
  passAnswers(): void;
  /** From now on pieces of the server's bytes that contain `text` do not arrive. An empty text ends that. */
  keepBack(text: string): void;
  /** From now on new connections lead to another port; those that are open stay where they are. */
  leadTo(port: number): void;
  /** The cable is out: nothing arrives on either side, not even an end, on old connections or new ones. */
  freeze(): void;
  /** A NAT has lost its table: nothing arrives any more on open connections, not even an end; new ones work. */
  forget(): void;
  /** The cable is in again; bytes on their way arrive. */
  thaw(): void;
  /** Cuts every connection, and is a good wire again for the next ones. */
  cut(): void;
  close(): Promise<void>;
}

/** Says for each connection how the bytes of the server are carried to its client. */
export type Carry = (ends: { client: Socket; upstream: Socket }) => (bytes: Buffer) => void;

const carryAll: Carry =
  ({ client }) =>
  (bytes) =>
    void client.write(bytes);

export async function startTcpProxy(port: number, host = '127.0.0.1', carry = carryAll): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let swallowing = false;
  let keptBack = '';
  let frozen = false;
  let target = port;

  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    const carryBack = carry({ client, upstream });
    client.on('data', (bytes) => upstream.write(bytes));
    upstream.on('data', (bytes) => {
      const isKept = keptBack !== '' && bytes.includes(keptBack);
      if (!swallowing && !isKept) carryBack(bytes);
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      // A socket that is not read reports no end either.
      if (frozen) socket.pause();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));

  function cut(): void {
    for (const socket of sockets) socket.destroy();
    swallowing = false;
    frozen = false;
  }
  return {
    port: (server.address() as AddressInfo).port,
    swallowAnswers() {
      swallowing = true;
    },
    passAnswers() {
      swallowing = false;
    },
    keepBack(text) {
      keptBack = text;
    },
    leadTo(other) {
      target = other;
    },
    freeze() {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    forget() {
      for (const socket of sockets) socket.pause();
    },
    thaw() {
      frozen = false;
      for (const socket of sockets) socket.resume();
    },
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
