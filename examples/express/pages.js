'use strict';
// The two front ends, served from here so that page, REST and Socket.IO have one URL.
const path = require('node:path');
const express = require('express');

const FRONT_ENDS = path.join(__dirname, '../front-ends');
const CLIENT = path.dirname(require.resolve('socket.io-client/dist/socket.io.js'));
const NAMES = ['conversation-colon', 'underscore-events'];

function pages({ chat, signIn, relayPublicUrl }) {
  const router = express.Router();
  router.get('/', (_req, res) => {
    const links = NAMES.flatMap((name) =>
      ['alice', 'bob', 'carol'].map((user) => `<li><a href="/login?user=${user}&to=/${name}/">${name} as ${user}</a>`),
    );
    res.send(`<!doctype html><title>Express example</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">
      <main class="card"><h1>Express example</h1><p>Open two of these in two browsers.</p><ul>${links.join('')}</ul></main>`);
  });
  // The configuration that their build would have put into the page, and what its server knows.
  router.get('/:name/config.js', (req, res, next) => {
    const userId = signIn.userOf(req);
    if (!NAMES.includes(req.params.name)) return next();
    const url = `${req.protocol}://${req.get('host')}`;
    const chats = userId ? chat.listConversations(userId).map(({ id, name }) => ({ id, name })) : [];
    const config = {
      NAME: req.params.name,
      API_URL: url,
      // The relay itself: its connections do not end with this process.
      SOCKET_URL: `${relayPublicUrl}/?dialect=underscore-events`,
      USER: userId ? { id: userId, name: userId } : null,
      CHATS: chats,
    };
    return res.type('js').send(`window.CONFIG = ${JSON.stringify(config)};`);
  });
  router.get('/socket.io.esm.min.js', (_req, res) => {
    res.sendFile(path.join(CLIENT, 'socket.io.esm.min.js'));
  });
  router.use(express.static(FRONT_ENDS));
  return router;
}

module.exports = { pages };
