// A stock Socket.IO server: `socket-io.mjs <port> [classic|sharded <redis url>]`. A connection names its room; `publish` goes to a room.
// With JWT_SECRET it lets in those who have a token, joins the groups that the token names, and says so, as a back end does it by hand.
import { createServer } from 'node:http';
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { jwtVerify } from 'jose';
import { Server } from 'socket.io';

const [port, kind, redisUrl] = process.argv.slice(2);

async function openAdapter() {
  if (kind === undefined) return undefined;
  const clients = [new Redis(redisUrl), new Redis(redisUrl)];
  await Promise.all(clients.map((client) => new Promise((resolve) => client.once('ready', resolve))));
  return kind === 'sharded' ? createShardedAdapter(...clients) : createAdapter(...clients);
}

const http = createServer((_request, response) => response.end(JSON.stringify(process.memoryUsage())));
const adapter = await openAdapter();
const pingInterval = Number(process.env.PING_INTERVAL_MS ?? 25_000);
const io = new Server(http, { serveClient: false, pingInterval, ...(adapter ? { adapter } : {}) });
const { JWT_SECRET, RELAY_SERVICE_SECRET } = process.env;
if (JWT_SECRET) {
  const [users, services] = [JWT_SECRET, RELAY_SERVICE_SECRET].map((secret) => new TextEncoder().encode(secret));
  io.use((socket, next) => {
    const { token, type } = socket.handshake.auth;
    jwtVerify(token, type === 'api' ? services : users, { algorithms: ['HS256'] }).then(({ payload }) => {
      socket.data = { userId: payload.sub, groups: payload.groups };
      next();
    }, next);
  });
}
io.on('connection', (socket) => {
  const { groups } = socket.data;
  if (groups) {
    void socket.join([`user-${socket.data.userId}`, ...groups]);
    socket.emit('joined-groups', { groupIds: groups });
  }
  const { room } = socket.handshake.auth;
  if (room) void socket.join(room);
  socket.on('publish', (to, message, done) => {
    io.to(to).emit('new-message', message);
    done({ ok: true });
  });
});
http.listen(Number(port), '127.0.0.1', () => console.log('listening'));
