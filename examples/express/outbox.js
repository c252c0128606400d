'use strict';
// Every event that was saved is broadcast, whatever crashes meanwhile: in the order of its conversation, again and again until the relay has it.

const RETRY_MS = 500;
const MAX_ROWS = 1000;
/** Codes by which the relay refuses an event itself, and for good. */
const UNFIT = new Set(['INVALID_PAYLOAD', 'PAYLOAD_TOO_LARGE']);

function createOutbox({ db, relay, log = console }) {
  let timer;
  let stopped = false;
  let wanted = false;
  let running;

  const positionOf = ({ epoch, seq }) => ({ epoch, seq });

  async function send(row) {
    const payload = JSON.parse(row.payload);
    const place = { groupId: row.conversation_id, ...positionOf(row) };
    // Connections that are open come in before the event that tells them.
    if (row.event === 'group-created') await relay.addMembers({ ...place, userIds: payload.userIds });
    await relay.broadcastMessage({ ...place, id: row.id, event: row.event, message: payload });
    // A crash before this line sends the row again. It has the same id and place, so the relay knows it: nobody gets it twice.
    db.run('UPDATE outbox SET sent = 1 WHERE conversation_id = ? AND seq = ?', row.conversation_id, row.seq);
  }

  /** Mends what the relay refused. Returns how long to wait before the next attempt, in milliseconds. */
  function mend(row, error) {
    const head = error.details?.head;
    if (error.code === 'POSITION_GAP' && head && head.seq < row.seq) {
      // The relay has less than it had: it lost the end of its log.
      db.run('UPDATE outbox SET sent = 0 WHERE conversation_id = ? AND seq > ?', row.conversation_id, head.seq);
      return 0;
    }
    if (error.code === 'CONFLICT' && head) {
      // The relay has other events at these places: this database is an older copy. A new epoch begins, above the relay's.
      const epoch = `${Number.parseInt(head.epoch, 10) + 1}-${Date.now().toString(36)}`;
      db.transaction(() => {
        db.run('UPDATE conversations SET epoch = ? WHERE id = ?', epoch, row.conversation_id);
        db.run('UPDATE outbox SET epoch = ? WHERE conversation_id = ? AND sent = 0', epoch, row.conversation_id);
      });
      return 0;
    }
    if (UNFIT.has(error.code)) {
      log.error(`event ${row.id} of conversation ${row.conversation_id} cannot be sent: ${error.message}`);
      const omit = `UPDATE outbox SET event = 'event-omitted', payload = ? WHERE conversation_id = ? AND seq = ?`;
      db.run(omit, JSON.stringify({ code: error.code }), row.conversation_id, row.seq);
      return 0;
    }
    log.warn(`conversation ${row.conversation_id} waits for the relay: ${error.message}`);
    return error.retryAfterMs ?? RETRY_MS;
  }

  async function sendConversation(rows) {
    for (const row of rows) {
      if (stopped) return;
      try {
        await send(row);
      } catch (error) {
        if (stopped) return;
        wakeIn(mend(row, error));
        return;
      }
    }
  }

  async function sendAll() {
    const rows = db.all('SELECT * FROM outbox WHERE sent = 0 ORDER BY conversation_id, seq LIMIT ?', MAX_ROWS);
    if (rows.length === MAX_ROWS) wanted = true;
    const conversations = groupBy(rows);
    await Promise.all(Array.from(conversations.values(), sendConversation));
  }

  function groupBy(rows) {
    const groups = new Map();
    for (const row of rows) groups.set(row.conversation_id, [...(groups.get(row.conversation_id) ?? []), row]);
    return groups;
  }

  async function run() {
    while (wanted) {
      wanted = false;
      await sendAll();
    }
  }

  function wake() {
    if (stopped) return;
    wanted = true;
    running ??= run()
      .catch((error) => {
        log.error(`the outbox failed: ${error.message}`);
        wakeIn(RETRY_MS);
      })
      .finally(() => {
        running = undefined;
        if (wanted) wake();
      });
  }

  function wakeIn(ms) {
    clearTimeout(timer);
    timer = setTimeout(wake, ms);
  }

  return {
    wake,
    async stop() {
      stopped = true;
      wanted = false;
      clearTimeout(timer);
      await running;
    },
  };
}

module.exports = { createOutbox };
