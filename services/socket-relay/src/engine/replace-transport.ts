/**
 * Makes the transports of this name for one Engine.IO server. Engine.IO has a table of them for all servers of the process, which stays as
 * it is: an application that has a relay in its process may have a Socket.IO server of its own.
 */
export function replaceTransport<R>(
  engine: unknown,
  name: 'polling' | 'websocket',
  make: (request: R, makeAsBefore: () => unknown) => unknown,
): void {
  const server = engine as { createTransport(name: string, request: R): unknown };
  const before = server.createTransport.bind(server);
  server.createTransport = (asked, request) => {
    const makeAsBefore = (): unknown => before(asked, request);
    return asked === name ? make(request, makeAsBefore) : makeAsBefore();
  };
}
