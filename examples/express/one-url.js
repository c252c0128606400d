'use strict';
// One URL for REST and Socket.IO: what comes to /socket.io/ goes on to the relay, by polling and by WebSocket.
const http = require('node:http');

function passToRelay(relayUrl) {
  const { hostname, port } = new URL(relayUrl);
  const ask = ({ method, url, headers }) => http.request({ hostname, port, method, path: url, headers });

  /** An Express handler. It stands before everything that reads the body. */
  function handle(req, res, next) {
    if (!req.url.startsWith('/socket.io/')) return next();
    const asked = ask(req)
      .on('response', (answer) => {
        res.writeHead(answer.statusCode, answer.headers);
        answer.pipe(res);
      })
      .on('error', () => (res.headersSent ? res.destroy() : res.status(503).json({ error: 'the relay is away' })));
    res.on('close', () => asked.destroy());
    return req.pipe(asked);
  }

  /** A listener of the server's `upgrade`. */
  function upgrade(req, socket, head) {
    if (!req.url.startsWith('/socket.io/')) return socket.destroy();
    const asked = ask(req)
      .on('upgrade', (answer, relay, first) => {
        const lines = [`HTTP/1.1 101 ${answer.statusMessage}`];
        for (let at = 0; at < answer.rawHeaders.length; at += 2) {
          lines.push(`${answer.rawHeaders[at]}: ${answer.rawHeaders[at + 1]}`);
        }
        socket.write(`${lines.join('\r\n')}\r\n\r\n`);
        socket.write(first);
        relay.write(head);
        relay.pipe(socket).on('error', () => relay.destroy());
        socket.pipe(relay).on('error', () => socket.destroy());
        relay.on('close', () => socket.destroy());
        socket.on('close', () => relay.destroy());
      })
      .on('response', (answer) => {
        socket.end(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nConnection: close\r\n\r\n`);
        answer.resume();
      })
      .on('error', () => socket.destroy());
    socket.on('error', () => asked.destroy());
    return asked.end();
  }

  return { handle, upgrade };
}

module.exports = { passToRelay };
