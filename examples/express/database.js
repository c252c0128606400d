'use strict';
// The application's own database: SQLite as WebAssembly, with a real file and nothing to compile.
const { mkdirSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { Database } = require('node-sqlite3-wasm');

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, full_name TEXT NOT NULL, email TEXT, photo TEXT);
  -- seq counts the events of a conversation, and epoch says of which count that is.
  CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL DEFAULT 0
  );
  CREATE TABLE IF NOT EXISTS members (
    conversation_id TEXT NOT NULL, user_id TEXT NOT NULL,
    received_seq INTEGER NOT NULL DEFAULT 0, read_seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY, conversation_id TEXT NOT NULL, seq INTEGER NOT NULL, sender_id TEXT NOT NULL,
    content TEXT NOT NULL, created_at TEXT NOT NULL, client_message_id TEXT,
    UNIQUE (conversation_id, seq), UNIQUE (conversation_id, sender_id, client_message_id)
  );
  -- A row for each event of a conversation. Those with sent = 0 wait for the relay; the rest is its history.
  CREATE TABLE IF NOT EXISTS outbox (
    conversation_id TEXT NOT NULL, seq INTEGER NOT NULL, epoch TEXT NOT NULL, id TEXT NOT NULL,
    event TEXT NOT NULL, payload TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, seq)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (conversation_id, seq) WHERE sent = 0;
`;

/** Refuses a file that another process has open; a process that was killed has none. */
function claim(file) {
  const owner = Number(readIfThere(`${file}.pid`));
  if (owner && owner !== process.pid && isAlive(owner)) throw new Error(`${file} is open in process ${owner}`);
  writeFileSync(`${file}.pid`, String(process.pid));
  // A folder by which node-sqlite3-wasm locks the file. It outlives a process that is killed, and then nobody gets in.
  rmSync(`${file}.lock`, { recursive: true, force: true });
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function openDatabase(file) {
  mkdirSync(path.dirname(file), { recursive: true });
  claim(file);
  const db = new Database(file);
  // A write-ahead log, which this package can do for one process. It does not undo what a killed process had half written in the
  // default mode: it takes its own lock for a writer's, and leaves the journal alone.
  db.exec('PRAGMA locking_mode = EXCLUSIVE');
  const { journal_mode: mode } = db.get('PRAGMA journal_mode = WAL');
  if (mode !== 'wal') throw new Error(`${file} is in the mode ${mode}, which does not survive a crash`);
  db.exec('PRAGMA synchronous = FULL');
  db.exec(SCHEMA);

  return {
    all: (sql, ...values) => db.all(sql, values),
    get: (sql, ...values) => db.get(sql, values) ?? undefined,
    run: (sql, ...values) => db.run(sql, values),
    /** Everything that `work` writes is there afterwards, also after a crash, or nothing of it. */
    transaction(work) {
      db.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        db.exec('COMMIT');
        return result;
      } catch (error) {
        db.exec('ROLLBACK');
        throw error;
      }
    },
    close() {
      db.close();
      rmSync(`${file}.pid`, { force: true });
    },
  };
}

module.exports = { openDatabase };
