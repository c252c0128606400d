import { GroupcastError } from '@groupcast/shared';
import type { Database } from '../db/database.ts';
import { rootCodeOf } from '../db/database-errors.ts';
import { type NewMessage, type SaveOutcome, saveMessages } from './message-store.ts';

export type Saved = Exclude<SaveOutcome, { kind: 'busy' }>;

/**
 * Saves the messages of this process. One that comes while nothing else is being saved is saved at once. Those that come meanwhile wait
 * and are saved together, in the order in which they came, so that the cost of a commit is shared by as many as wait for it.
 */
export interface SaveQueue {
  /** Resolves after commit. Throws `API_UNAVAILABLE` where too many wait, or one has waited too long, and nothing is saved then. */
  save(message: NewMessage): Promise<Saved>;
}

/**
 * Statements at once. One of PostgreSQL is kept for groups that nobody else has locked, so that none waits for the groups of others. The
 * embedded database runs one statement at a time.
 */
const STATEMENTS = { postgres: { total: 4, waiting: 3 }, embedded: { total: 1, waiting: 1 } };
/** Most messages, and characters of their content, of one statement. */
const BATCH = { messages: 64, characters: 524_288 };
/** Most messages, and characters of their content, that wait. */
const WAITING = { messages: 2_000, characters: 8_388_608 };
/** Longest that a message waits for its statement to begin, in milliseconds. */
const MAX_WAIT_MS = 10_000;
const OVERLOAD_RETRY_MS = 1_000;
/** SQLSTATE `deadlock_detected`: one that has written rows of several groups was chosen to end it. */
const DEADLOCK = '40P01';

interface Item {
  message: NewMessage;
  characters: number;
  /** It shared a statement that failed: the next one is its own. */
  isAlone: boolean;
  /** When it has waited too long, by `performance.now()`. */
  deadline: number;
  /** Refuses it then; undefined while it has never waited. */
  timer: NodeJS.Timeout | undefined;
  resolve: (saved: Saved) => void;
  reject: (reason: unknown) => void;
}

function sizeOf({ content, attachments, custom }: NewMessage): number {
  return [attachments, custom].reduce((sum, json) => sum + (json ? JSON.stringify(json).length : 0), content.length);
}

/** Each is the same for two messages that must not be in one statement. */
function keysOf({ groupId, senderId, clientMessageId, way, content }: NewMessage, pairsCopies: boolean): string[] {
  const keys: string[] = [];
  if (clientMessageId !== undefined) keys.push(JSON.stringify([groupId, senderId, clientMessageId]));
  if (pairsCopies && way !== undefined) keys.push(JSON.stringify([groupId, senderId, 'copy of', content]));
  return keys;
}

function isOfDatabase(error: unknown): boolean {
  return error instanceof GroupcastError && error.code === 'API_UNAVAILABLE';
}

/** `pairsCopies`: a message with a `way` is one with the same message that came by the other way. Without it, nobody pays for that. */
export function createSaveQueue(
  { db }: { db: Database },
  { maxWaitMs = MAX_WAIT_MS, pairsCopies = false }: { maxWaitMs?: number; pairsCopies?: boolean } = {},
): SaveQueue {
  const limits = STATEMENTS[db.kind];
  /** The messages that wait, by group, in the order of their turns. */
  const lines = new Map<string, Item[]>();
  /** Groups of which messages are being saved. */
  const saving = new Set<string>();
  /** Groups that another transaction had locked: the next statement waits for it, and saves nothing else. */
  const contended = new Set<string>();
  const waiting = { messages: 0, characters: 0 };
  let running = 0;
  let runningThatWait = 0;

  function count(item: Item, by: 1 | -1): void {
    waiting.messages += by;
    waiting.characters += by * item.characters;
  }

  function overloaded(): GroupcastError {
    return new GroupcastError('API_UNAVAILABLE', 'unable to save the message; the server is overloaded', {
      retryAfterMs: OVERLOAD_RETRY_MS,
    });
  }

  /** Takes a message that has waited too long out of its line, where it is in one: what is being saved is not refused. */
  function expire(item: Item): void {
    const { groupId } = item.message;
    const line = lines.get(groupId) ?? [];
    const place = line.indexOf(item);
    if (place < 0) return;
    line.splice(place, 1);
    count(item, -1);
    if (line.length === 0) forgetLine(groupId);
    item.reject(overloaded());
  }

  function forgetLine(groupId: string): void {
    lines.delete(groupId);
    contended.delete(groupId);
  }

  function watch(item: Item): void {
    item.timer ??= setTimeout(() => expire(item), item.deadline - performance.now());
  }

  /** Puts messages that a statement has not saved back to the beginning of their lines, but those that have waited too long by now. */
  function putBack(items: readonly Item[]): void {
    const now = performance.now();
    for (const item of items.toReversed()) {
      const { groupId } = item.message;
      if (now >= item.deadline) {
        item.reject(overloaded());
        if (!lines.has(groupId)) forgetLine(groupId);
        continue;
      }
      const line = lines.get(groupId) ?? [];
      line.unshift(item);
      lines.set(groupId, line);
      count(item, 1);
      watch(item);
    }
  }

  /** Takes what fits into the batch from the beginning of a line. */
  function takeFrom(line: Item[], batch: Item[], keys: Set<string>): void {
    let characters = batch.reduce((sum, item) => sum + item.characters, 0);
    for (let [item] = line; item; [item] = line) {
      const own = keysOf(item.message, pairsCopies);
      const fits = batch.length < BATCH.messages && characters + item.characters <= BATCH.characters;
      const mixes = !item.isAlone && batch.every(({ isAlone }) => !isAlone) && own.every((key) => !keys.has(key));
      if (batch.length > 0 && !(fits && mixes)) return;
      batch.push(item);
      line.shift();
      count(item, -1);
      characters += item.characters;
      for (const key of own) keys.add(key);
    }
  }

  function takeBatch(): Item[] {
    const batch: Item[] = [];
    const keys = new Set<string>();
    // A copy, because lines move to the end meanwhile.
    for (const [groupId, line] of Array.from(lines)) {
      if (saving.has(groupId)) continue;
      const isContended = contended.has(groupId);
      if (isContended && (batch.length > 0 || runningThatWait >= limits.waiting)) continue;
      takeFrom(line, batch, keys);
      // The rest of a long line comes after the others.
      lines.delete(groupId);
      if (line.length > 0) lines.set(groupId, line);
      if (isContended || batch.length >= BATCH.messages || batch.some(({ isAlone }) => isAlone)) break;
    }
    return batch;
  }

  async function save(batch: readonly Item[], waits: boolean): Promise<void> {
    const messages = batch.map(({ message }) => message);
    try {
      const outcomes = await saveMessages(db, messages, { waits, pairsCopies });
      for (const { groupId } of messages) contended.delete(groupId);
      const busy: Item[] = [];
      for (const [index, item] of batch.entries()) {
        const outcome = outcomes[index] ?? { kind: 'busy' };
        if (outcome.kind === 'busy') busy.push(item);
        else item.resolve(outcome);
      }
      for (const { message } of busy) contended.add(message.groupId);
      putBack(busy);
    } catch (error) {
      for (const { groupId } of messages) contended.delete(groupId);
      // Nothing is saved. Where it is the fault of one message, or of their number, the others need not share it.
      const isShared = batch.length > 1 && (!isOfDatabase(error) || rootCodeOf(error) === DEADLOCK);
      for (const item of batch) if (isShared) item.isAlone = true;
      if (isShared) putBack(batch);
      else for (const { reject } of batch) reject(error);
    }
  }

  function pump(): void {
    while (running < limits.total) {
      const batch = takeBatch();
      if (batch.length === 0) return;
      const groupIds = new Set(batch.map(({ message }) => message.groupId));
      const waits = groupIds.size === 1 && runningThatWait < limits.waiting;
      for (const groupId of groupIds) saving.add(groupId);
      running += 1;
      runningThatWait += waits ? 1 : 0;
      void save(batch, waits).finally(() => {
        for (const groupId of groupIds) saving.delete(groupId);
        running -= 1;
        runningThatWait -= waits ? 1 : 0;
        pump();
      });
    }
  }

  return {
    async save(message) {
      const characters = sizeOf(message);
      const isFull = waiting.messages >= WAITING.messages || waiting.characters + characters > WAITING.characters;
      if (isFull && waiting.messages > 0) throw overloaded();
      return new Promise<Saved>((resolve, reject) => {
        const settle = <T>(how: (value: T) => void, value: T): void => {
          clearTimeout(item.timer);
          how(value);
        };
        const item: Item = {
          message,
          characters,
          isAlone: false,
          deadline: performance.now() + maxWaitMs,
          timer: undefined,
          resolve: (saved) => settle(resolve, saved),
          reject: (reason) => settle(reject, reason),
        };
        const line = lines.get(message.groupId) ?? [];
        lines.set(message.groupId, line);
        line.push(item);
        count(item, 1);
        pump();
        if (line.includes(item)) watch(item);
      });
    },
  };
}
