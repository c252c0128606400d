import type { Socket as NetSocket } from 'node:net';

type Write = (...args: unknown[]) => number;

/** The methods of Node's handle that hand bytes to the operating system. */
const WRITES = ['writeBuffer', 'writev', 'writeUtf8String', 'writeLatin1String', 'writeAsciiString'];

/**
 * Puts `instead` in the place of every write to a TCP socket, through its stream and past it; `write` is the one that it stands for. It
 * returns 0, or the error of the operating system as a negative number.
 */
export function replaceWrites(wire: NetSocket, instead: (write: () => number) => number): void {
  const { _handle: handle } = wire as unknown as { _handle: Record<string, Write> };
  for (const name of WRITES) {
    const write = handle[name];
    if (write) handle[name] = (...args) => instead(() => write.apply(handle, args));
  }
}
