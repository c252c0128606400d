import { connect, type Socket } from 'node:net';

/** Connections that a test holds open, silent unless the test itself writes to them. */
export interface HeldConnections {
  sockets: readonly Socket[];
  /** Number of connections that the other side has not ended. */
  open(): number;
  /** The bytes that came as answers on any of them. */
  answers(): string;
  close(): void;
}

/** Opens `count` connections to a port of this machine. Resolves when each of them has been accepted, or refused. */
export async function holdConnections(port: number, count: number, say = ''): Promise<HeldConnections> {
  const closed = new Set<Socket>();
  let answers = '';
  const sockets = await Promise.all(
    Array.from(
      { length: count },
      async () =>
        new Promise<Socket>((resolve) => {
          // It does not close when the other side does.
          const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => {
            if (say) socket.write(say);
            resolve(socket);
          });
          const onClosed = (): void => {
            closed.add(socket);
            resolve(socket);
          };
          socket
            .on('error', () => undefined)
            .on('end', onClosed)
            .on('close', onClosed);
          socket.setEncoding('utf8').on('data', (text: string) => {
            answers += text;
          });
        }),
    ),
  );
  return {
    sockets,
    open: () => sockets.length - closed.size,
    answers: () => answers,
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** How long a process has no descriptors before it writes `outlived`. Timers of seconds have run by then. */
const OUTLIVED_MS = 3_000;
const EXHAUST = `
import { closeSync, openSync } from 'node:fs';
const { stderr } = process;
let taken;
function take() {
  taken = [];
  try {
    for (;;) taken.push(openSync('/dev/null'));
  } catch (error) {
    stderr.write(error.code + ': exhausted\\n');
  }
  setTimeout(() => stderr.write('outlived\\n'), ${OUTLIVED_MS});
}
process.on('SIGWINCH', () => {
  if (!taken) return take();
  for (const descriptor of taken.splice(0)) closeSync(descriptor);
  stderr.write('released\\n');
});
`;

/**
 * Variables for a service whose descriptors a test can take: the first SIGWINCH takes every one that is left, and the process writes
 * `exhausted`, and `outlived` some seconds later; the second one gives them back, and it writes `released`.
 */
export const EXHAUSTIBLE = {
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(EXHAUST)}`,
} as const;
