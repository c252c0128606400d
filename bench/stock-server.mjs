// A stock Socket.IO server with the classic Redis adapter: whoever connects names its room; `publish` goes to a room.
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';

const [redisUrl, port] = process.argv.slice(2);
const publisher = new Redis(redisUrl);
const subscriber = new Redis(redisUrl);
await Promise.all([publisher, subscriber].map((client) => new Promise((resolve) => client.once('ready', resolve))));
const http = createServer();
const io = new Server(http, { adapter: createAdapter(publisher, subscriber), serveClient: false });
io.on('connection', (socket) => {
  const { room } = socket.handshake.auth;
  if (room) void socket.join(room);
  socket.on('publish', (to, message, done) => {
    io.to(to).emit('new-message', message);
    done();
  });
});
http.listen(Number(port), '127.0.0.1', () => console.log('listening'));
