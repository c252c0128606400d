'use strict';
// REST for the front end `underscore-events`: its list, its messages, and how far it has read. It sends over the socket.
const { Router } = require('express');
const { ChatError } = require('./chat.js');

function conversationsApi({ chat, relay, log = console }) {
  const api = Router();
  api.get('/', (req, res) => {
    res.json({ groups: chat.listConversations(req.userId) });
  });
  api.post('/', (req, res) => {
    const { name, memberIds } = req.body;
    if (typeof name !== 'string' || !Array.isArray(memberIds) || memberIds.length > 100) {
      throw new ChatError(400, 'INVALID_PAYLOAD', 'a conversation needs a name, and 100 members at most');
    }
    const id = chat.createConversation({ name, userIds: [req.userId, ...memberIds.map(String)] });
    res.status(201).json({ group: { id, name } });
  });
  api.get('/:id/messages', (req, res) => {
    const before = Number(req.query.before) || undefined;
    res.json({ messages: chat.listMessages({ conversationId: req.params.id, userId: req.userId, before }) });
  });
  api.post('/:id/read', (req, res) => {
    const conversationId = req.params.id;
    const { userId } = req;
    const end = chat.seqOf({ conversationId, userId });
    const read = Math.min(Number(req.body.seq ?? end) || 0, end);
    chat.moveCursors({ conversationId, userId, read });
    res.json({ readSeq: read });
    // The others see it live. It is stored, so nothing is lost where the relay is away.
    const { memberCount } = chat.sizeOf(conversationId);
    relay
      .updateCursors({
        cursors: [{ userId, groupId: conversationId, read }],
        groups: { [conversationId]: { memberCount } },
      })
      .catch((error) => log.warn(`nobody was told how far ${userId} has read: ${error.message}`));
  });
  return api;
}

module.exports = { conversationsApi };
