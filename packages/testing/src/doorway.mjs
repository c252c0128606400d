// Inside a network of its own: listens on loopback ports, and carries each connection to a Unix socket, which is the same in all networks.
// Arguments: the folder of the sockets, and the ports.
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

const [folder = '', ...ports] = process.argv.slice(2);

/** @param {import('node:net').Socket} socket */
function carry(socket, port = '') {
  const outside = connect(join(folder, port));
  for (const [from, to] of [
    [socket, outside],
    [outside, socket],
  ]) {
    from.on('error', () => undefined);
    from.once('close', () => to.destroy());
    from.pipe(to);
  }
}

await Promise.all(
  ports.map(
    (port) =>
      new Promise((resolve) => createServer((socket) => carry(socket, port)).listen(port, '127.0.0.1', resolve)),
  ),
);
console.log('the doorway is open');
