'use strict';
// REST for the front end `conversation-colon`.
const { Router } = require('express');

function toChatMessage({ id, groupId, sender, content, createdAt }) {
  return { _id: id, chat: groupId, sender, content, createdAt };
}

function chatsApi({ chat }) {
  const api = Router();
  api.get('/:id/messages', (req, res) => {
    const messages = chat.listMessages({ conversationId: req.params.id, userId: req.userId });
    res.json({ status: 'success', data: messages.map(toChatMessage) });
  });
  api.post('/:id/messages', (req, res) => {
    const { content } = req.body;
    const message = chat.sendMessage({ conversationId: req.params.id, userId: req.userId, content });
    res.status(201).json({ status: 'success', data: toChatMessage(message) });
  });
  return api;
}

module.exports = { chatsApi };
