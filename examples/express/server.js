'use strict';
// An application of its own, with its own database, behind a Groupcast relay: README.md.
const http = require('node:http');
const path = require('node:path');
const { createBroadcaster } = require('@groupcast/broadcaster');
const express = require('express');
const { ChatError, createChat } = require('./chat.js');
const { chatsApi } = require('./chats-api.js');
const { conversationsApi } = require('./conversations-api.js');
const { openDatabase } = require('./database.js');
const { passToRelay } = require('./one-url.js');
const { createOutbox } = require('./outbox.js');
const { pages } = require('./pages.js');
const { relayCalls } = require('./relay-calls.js');
const { createSignIn } = require('./sign-in.js');

const {
  PORT = '3000',
  DATABASE_FILE = path.join(__dirname, '../../.groupcast/express.db'),
  JWT_SECRET: secret,
  RELAY_SERVICE_SECRET: serviceSecret,
  RELAY_URL: relayUrl = 'http://localhost:3001',
  RELAY_PUBLIC_URL: relayPublicUrl = relayUrl,
} = process.env;
if (!secret || !serviceSecret) throw new Error('JWT_SECRET and RELAY_SERVICE_SECRET must be set, as for the relay');

const db = openDatabase(DATABASE_FILE);
const relay = createBroadcaster({
  url: relayUrl,
  serviceSecret,
  name: 'express-example',
  // The relay is back: what waited is sent at once.
  onStateChange: ({ name }) => name === 'connected' && outbox.wake(),
});
const outbox = createOutbox({ db, relay });
const chat = createChat({ db, onEvent: outbox.wake });
const signIn = createSignIn({ db, secret });
const oneUrl = passToRelay(relayUrl);

for (const name of ['Alice', 'Bob', 'Carol']) {
  chat.addUser({ id: name.toLowerCase(), fullName: name, email: `${name.toLowerCase()}@example.com` });
}
for (const [id, name] of [
  ['694801074b3132dfefb58ce0', 'Corner shop'],
  ['694801074b3132dfefb58ce1', 'Book club'],
]) {
  chat.createConversation({ id, name, userIds: ['alice', 'bob', 'carol'] });
}

const app = express();
app.disable('x-powered-by');
app.use(oneUrl.handle);
app.use('/internal', express.json({ limit: '4mb' }), relayCalls({ db, chat, serviceSecret }));
app.use(express.json({ limit: '64kb' }));
signIn.routes(app);
app.use('/api/v1/chats', (req, res, next) => signIn.required(req, res, next), chatsApi({ chat }));
app.use(
  '/api/messaging/groups',
  (req, res, next) => signIn.required(req, res, next),
  conversationsApi({ chat, relay }),
);
app.use(pages({ chat, signIn, relayPublicUrl }));
app.use((_req, res) => res.status(404).json({ error: 'there is nothing here' }));
app.use((error, _req, res, _next) => {
  if (error instanceof ChatError || error.expose) {
    return res.status(error.status).json({ error: error.message, code: error.code });
  }
  console.error(error);
  return res.status(500).json({ error: 'that did not work; please try again' });
});

const server = http.createServer(app);
server.on('upgrade', oneUrl.upgrade);
server.listen(Number(PORT), 'localhost', () => {
  outbox.wake();
  console.log(`the Express example is ready at http://localhost:${server.address().port}`);
  process.send?.({ listening: 'express' });
});

async function stop() {
  server.close();
  server.closeAllConnections();
  const settled = outbox.stop();
  await relay.close();
  await settled;
  db.close();
  process.exit(0);
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void stop());
