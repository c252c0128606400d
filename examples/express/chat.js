'use strict';
// The application: users, conversations, members, messages. Each change and its event are written in one transaction.
const { randomBytes, randomUUID } = require('node:crypto');

const PAGE = 50;
const MAX_CONTENT = 10_000;

/** An error that the caller is told. `code` is for programs, `status` for HTTP. */
class ChatError extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

function createChat({ db, onEvent }) {
  const newEpoch = (generation) => `${generation}-${randomBytes(6).toString('hex')}`;

  const userOf = (userId) => {
    const user = db.get('SELECT * FROM users WHERE id = ?', userId);
    return {
      _id: userId,
      fullName: user?.full_name ?? userId,
      email: user?.email ?? null,
      photo: user?.photo ?? null,
      isOnline: true,
    };
  };

  /** One message, as the relay sends it on. A dialect gives it the names of its front end. */
  const toMessage = (row) => ({
    id: row.id,
    groupId: row.conversation_id,
    seq: row.seq,
    senderId: row.sender_id,
    sender: userOf(row.sender_id),
    content: row.content,
    createdAt: row.created_at,
    ...(row.client_message_id ? { clientMessageId: row.client_message_id } : {}),
  });

  /** Gives an event the next place of its conversation. Only within the transaction that saves what it tells. */
  function appendEvent(conversationId, event, id, payloadAt) {
    const place = 'UPDATE conversations SET seq = seq + 1 WHERE id = ? RETURNING seq, epoch';
    const { seq, epoch } = db.get(place, conversationId);
    const payload = JSON.stringify(payloadAt(seq));
    const into = 'INSERT INTO outbox (conversation_id, seq, epoch, id, event, payload) VALUES (?, ?, ?, ?, ?, ?)';
    db.run(into, conversationId, seq, epoch, id, event, payload);
  }

  function checkMember(conversationId, userId) {
    const member = db.get('SELECT 1 FROM members WHERE conversation_id = ? AND user_id = ?', conversationId, userId);
    if (!member) throw new ChatError(404, 'NOT_FOUND', 'unable to find the conversation');
  }

  return {
    addUser({ id, fullName, email = null, photo = null }) {
      const into = 'INSERT INTO users (id, full_name, email, photo) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING';
      db.run(into, id, fullName, email, photo);
    },

    /** Resolves to the conversation's id. One that is there already stays as it is. */
    createConversation({ id = randomUUID(), name, userIds }) {
      const isNew = db.transaction(() => {
        const into = 'INSERT INTO conversations (id, name, epoch) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING id';
        if (!db.get(into, id, name, newEpoch(1))) return false;
        for (const userId of new Set(userIds)) {
          db.run('INSERT INTO members (conversation_id, user_id) VALUES (?, ?)', id, userId);
        }
        appendEvent(id, 'group-created', randomUUID(), () => ({ name, kind: 'group', userIds: [...new Set(userIds)] }));
        return true;
      });
      if (isNew) onEvent();
      return id;
    },

    /** Returns the message once it is saved, which is when it is certain to be broadcast. */
    sendMessage({ conversationId, userId, content, clientMessageId = null }) {
      if (typeof content !== 'string' || content.trim() === '' || content.length > MAX_CONTENT) {
        throw new ChatError(400, 'INVALID_PAYLOAD', `content must be a text of 1 to ${MAX_CONTENT} characters`);
      }
      checkMember(conversationId, userId);
      const row = db.transaction(() => {
        const repeated =
          'SELECT * FROM messages WHERE conversation_id = ? AND sender_id = ? AND client_message_id IS ? AND ? IS NOT NULL';
        const first = db.get(repeated, conversationId, userId, clientMessageId, clientMessageId);
        if (first) return first;
        const id = randomUUID();
        const message = {
          id,
          conversation_id: conversationId,
          sender_id: userId,
          content,
          created_at: new Date().toISOString(),
          client_message_id: clientMessageId,
        };
        appendEvent(conversationId, 'new-message', id, (seq) => toMessage(Object.assign(message, { seq })));
        const into = `INSERT INTO messages (id, conversation_id, seq, sender_id, content, created_at, client_message_id)
          VALUES (?, ?, ?, ?, ?, ?, ?)`;
        db.run(into, id, conversationId, message.seq, userId, content, message.created_at, clientMessageId);
        const own = 'UPDATE members SET read_seq = max(read_seq, ?) WHERE conversation_id = ? AND user_id = ?';
        db.run(own, message.seq, conversationId, userId);
        return message;
      });
      onEvent();
      return toMessage(row);
    },

    /** The newest messages, oldest first. */
    listMessages({ conversationId, userId, before = Number.MAX_SAFE_INTEGER }) {
      checkMember(conversationId, userId);
      const newest = 'SELECT * FROM messages WHERE conversation_id = ? AND seq < ? ORDER BY seq DESC LIMIT ?';
      return db.all(newest, conversationId, before, PAGE).toReversed().map(toMessage);
    },

    listConversations(userId) {
      const rows = db.all(
        `SELECT c.id, c.name, c.seq, m.read_seq AS readSeq,
           (SELECT count(*) FROM messages x
             WHERE x.conversation_id = c.id AND x.seq > m.read_seq AND x.sender_id <> m.user_id) AS unreadCount
         FROM members m JOIN conversations c ON c.id = m.conversation_id WHERE m.user_id = ? ORDER BY c.name`,
        userId,
      );
      return rows.map(({ seq, ...row }) => ({ ...row, position: { seq } }));
    },

    /** Where the message stands, or the conversation if there is none named. */
    seqOf({ conversationId, userId, messageId }) {
      checkMember(conversationId, userId);
      const row = messageId
        ? db.get('SELECT seq FROM messages WHERE conversation_id = ? AND id = ?', conversationId, messageId)
        : db.get('SELECT seq FROM conversations WHERE id = ?', conversationId);
      if (!row) throw new ChatError(404, 'NOT_FOUND', 'unable to find the message');
      return row.seq;
    },

    /** Moves a member's cursors, forward only, and not beyond the end of the conversation. */
    moveCursors({ conversationId, userId, received = 0, read = 0 }) {
      db.run(
        `UPDATE members SET
           received_seq = max(received_seq, min(max(?1, ?2), (SELECT seq FROM conversations WHERE id = ?3))),
           read_seq = max(read_seq, min(?2, (SELECT seq FROM conversations WHERE id = ?3)))
         WHERE conversation_id = ?3 AND user_id = ?4`,
        received,
        read,
        conversationId,
        userId,
      );
    },

    sizeOf(conversationId) {
      const { n } = db.get('SELECT count(*) AS n FROM members WHERE conversation_id = ?', conversationId);
      const conversation = db.get('SELECT seq FROM conversations WHERE id = ?', conversationId);
      return { memberCount: n, seq: conversation?.seq ?? 0 };
    },

    groupsOf: (userId) =>
      db.all('SELECT conversation_id AS id FROM members WHERE user_id = ?', userId).map(({ id }) => id),
    isMember: (userId, conversationId) =>
      db.get('SELECT 1 FROM members WHERE conversation_id = ? AND user_id = ?', conversationId, userId) !== undefined,
  };
}

module.exports = { ChatError, createChat };
