'use strict';
// Answers the questions of the relay: docs/reference/back-end.md. Only the relay may, with its service token.
const { Router } = require('express');
const { ChatError } = require('./chat.js');
const { verifyToken } = require('./tokens.js');

/** Bytes of history in one answer, which the relay reads within 3 s. */
const MAX_HISTORY_BYTES = 4 * 1024 * 1024;

function relayCalls({ db, chat, serviceSecret }) {
  const calls = Router();

  calls.use((req, res, next) => {
    const claims = verifyToken(/^Bearer (.*)$/.exec(req.get('authorization') ?? '')?.[1], serviceSecret);
    const scopes = String(claims?.scope ?? '').split(' ');
    if (claims?.aud === 'groupcast-api' && scopes.includes('relay')) return next();
    return res.status(401).json({ error: 'this is for the relay' });
  });

  // Which of these groups is each user a member of?
  calls.post('/memberships', (req, res) => {
    const users = req.body.users.map(({ userId, groupIds }) => ({
      userId,
      groupIds: groupIds.filter((groupId) => chat.isMember(userId, groupId)),
    }));
    res.json({ users });
  });

  // Which groups is each user in? For front ends whose tokens name none.
  calls.post('/groups', (req, res) => {
    res.json({ users: req.body.userIds.map((userId) => ({ userId, groupIds: chat.groupsOf(userId) })) });
  });

  // Carry out what a client has sent over its socket.
  calls.post('/events', (req, res) => {
    const { userId, event, groupId: conversationId, payload } = req.body;
    try {
      if (event === 'send-message') {
        const { content, clientMessageId } = payload;
        const message = chat.sendMessage({ conversationId, userId, content, clientMessageId });
        res.json({ ok: true, message });
      } else if (event === 'mark-read' || event === 'mark-delivered') {
        // The relay moves the cursor, and tells us by /cursors.
        res.json({ ok: true, seq: chat.seqOf({ conversationId, userId, messageId: payload.messageId }) });
      } else {
        throw new ChatError(400, 'UNKNOWN_EVENT', `unable to carry out ${event}; it is not known`);
      }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error;
      res.json({ ok: false, error: { code: error.code, message: error.message, retryable: false } });
    }
  });

  // How far members are.
  calls.post('/cursors', (req, res) => {
    const { cursors } = req.body;
    db.transaction(() => {
      for (const { groupId, userId, received, read } of cursors) {
        chat.moveCursors({ conversationId: groupId, userId, received, read });
      }
    });
    const groupIds = [...new Set(cursors.map(({ groupId }) => groupId))];
    res.json({ groups: Object.fromEntries(groupIds.map((groupId) => [groupId, chat.sizeOf(groupId)])) });
  });

  // The newest events that the relay has had, for one that was restarted and has an empty log.
  calls.post('/history', (req, res) => {
    const { groups, limit } = req.body;
    let bytes = 0;
    const historyOf = (groupId) => {
      const newest = `SELECT seq, epoch, id, event, payload FROM outbox WHERE conversation_id = ?1 AND sent = 1
        AND epoch = (SELECT epoch FROM conversations WHERE id = ?1) ORDER BY seq DESC LIMIT ?2`;
      const rows = db.all(newest, groupId, limit);
      if (rows.length === 0) return { groupId, position: null, events: [] };
      const fits = rows.filter(({ payload }) => {
        bytes += payload.length + 300;
        return bytes < MAX_HISTORY_BYTES;
      });
      const events = fits
        .toReversed()
        .map(({ payload, ...envelope }) => ({ ...JSON.parse(payload), ...envelope, groupId }));
      return { groupId, position: { epoch: rows[0].epoch, seq: rows[0].seq }, events };
    };
    res.json({ groups: groups.map(historyOf) });
  });

  return calls;
}

module.exports = { relayCalls };
