// The least that can be done with ws: `plain-ws.mjs <port>`. One frame is built per message, and written to each member's socket.
import { Sender, WebSocketServer } from 'ws';

const [port] = process.argv.slice(2);
/** @type {Map<string, Set<import('ws').WebSocket>>} */
const rooms = new Map();

function join(name, webSocket) {
  const room = rooms.get(name) ?? new Set();
  rooms.set(name, room.add(webSocket));
  webSocket.once('close', () => room.delete(webSocket));
}

function publish(name, data) {
  const frame = Buffer.concat(Sender.frame(data, { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: true }));
  for (const webSocket of rooms.get(name) ?? []) webSocket._socket.write(frame);
}

const server = new WebSocketServer({ port: Number(port), host: '127.0.0.1', perMessageDeflate: false });
server.on('connection', (webSocket) => {
  webSocket.once('message', (/** @type {Buffer} */ first) => {
    const [verb, room] = first.toString().split(' ');
    if (verb === 'join') join(room, webSocket);
    webSocket.on('message', (data) => {
      publish(room, data);
      webSocket.send('ok');
    });
    webSocket.send('ready');
  });
});
server.on('listening', () => console.log('listening'));
