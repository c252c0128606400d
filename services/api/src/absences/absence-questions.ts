import { type Logger, warnOnceEvery, within } from '@groupcast/service-kit';
import { TRACE_LIMITS } from '@groupcast/shared';
import { findRecipients, readRecipients } from '../cursors/recipient-store.ts';
import type { Database } from '../db/database.ts';
import { describeFailure } from '../db/database-errors.ts';
import type { ApiMetrics } from '../metrics.ts';
import type { RelayPort } from '../outbox/relay-connection.ts';
import type { AbsenceStore, Absent, AwaitedMessage, NewWebhook } from './absence-store.ts';

/** Asks the relays, for each message that they have accepted, who has not got it, and puts a webhook into the queue where somebody has not. */
export interface AbsenceQuestions {
  /** The relay has accepted the group's events up to `seq`. */
  accepted(groupId: string, seq: number): void;
  /** Looks for groups of processes that have gone, from now on. */
  start(): Promise<void>;
  /** The relay can be asked again. */
  wake(): void;
  /** Asks nothing more. What is not answered soon is asked again by the next process. */
  stop(): Promise<void>;
}

/** Groups that are asked about at once, messages of one of them, and questions of all together. */
const GROUPS_AT_ONCE = 32;
const MESSAGES_AT_ONCE = 100;
const QUESTIONS_AT_ONCE = 500;
/** Groups that wait here for their turn; of the others the poll knows once they are quiet. */
const MAX_WAITING = 10_000;
const GROUPS_OF_A_POLL = 1_000;
const RETRY_MS = 2_000;
/** Longest that stopping waits for answers, in milliseconds. */
const STOP_MS = 1_000;
/** Least that those who are there have to prove it, in milliseconds: a message that waited in the outbox has only now come to them. */
const LEAST_MS = 2_000;
/** How old a message may become before nobody is told any more, in milliseconds. */
export const GIVEN_UP_AFTER_MS = 86_400_000;

/** Most bytes of the users of one question. A packet above the relay's limit would end the connection by which messages go. */
const PACKET_BYTES = 400_000;

/** Divides users, whose ids are ASCII, so that each part fits into a packet. */
export function inPackets(userIds: readonly string[]): string[][] {
  const packets: string[][] = [];
  let room = 0;
  for (const userId of userIds) {
    const bytes = JSON.stringify(userId).length + 1;
    if (bytes > room) {
      packets.push([]);
      room = PACKET_BYTES;
    }
    packets.at(-1)?.push(userId);
    room -= bytes;
  }
  return packets;
}

export function createAbsenceQuestions(
  deps: {
    store: AbsenceStore;
    db: Database;
    relay: Pick<RelayPort, 'connected' | 'awaitDelivery'>;
    metrics: ApiMetrics;
    log: Logger;
    /** There are new webhooks in the queue. */
    onQueued: () => void;
  },
  options: { afterMs: number; pollMs: number; lateMs: number; since: Date },
): AbsenceQuestions {
  const { store, db, relay, metrics, log } = deps;
  const { afterMs, pollMs, lateMs, since } = options;
  const warn = warnOnceEvery(60_000);
  /** How far the relay has accepted the events of groups that wait. */
  const waiting = new Map<string, number>();
  const active = new Map<string, Promise<void>>();
  const retries = new Set<NodeJS.Timeout>();
  const turns: (() => void)[] = [];
  let questions = 0;
  let poll: NodeJS.Timeout | undefined;
  let isStopping = false;

  /** Runs `ask` once fewer questions are open than may be. */
  async function inTurn<T>(ask: () => Promise<T>): Promise<T> {
    if (questions >= QUESTIONS_AT_ONCE) await new Promise<void>((resolve) => void turns.push(resolve));
    questions += 1;
    try {
      return await ask();
    } finally {
      questions -= 1;
      turns.shift()?.();
    }
  }

  /** The recipients who have not got it, as far as the relays know after a while and the members' own cursors say. */
  async function absentOf(message: AwaitedMessage): Promise<Absent[]> {
    const { groupId, epoch, seq, ageMs } = message;
    const recipients = await readRecipients(db, message, { after: '', limit: TRACE_LIMITS.expectedUserIds });
    const expectedUserIds = recipients.filter(({ known }) => known === undefined).map(({ userId }) => userId);
    if (expectedUserIds.length === 0) return [];
    const withinMs = Math.round(Math.min(afterMs, Math.max(LEAST_MS, afterMs - ageMs)));
    const position = { groupId, epoch, seq };
    const answers = await Promise.all(
      inPackets(expectedUserIds).map(async (userIds) =>
        relay.awaitDelivery({ ...position, expectedUserIds: userIds, waitFor: 'proven', withinMs }),
      ),
    );
    const found = answers.flatMap(({ pending, absent }) => [
      ...absent.map(({ userId, why }): Absent => ({ userId, why })),
      ...pending.map((userId): Absent => ({ userId, why: 'pending' })),
    ]);
    if (found.length === 0) return [];
    // Meanwhile some may have read it over HTTP, or left the group.
    const still = await findRecipients(
      db,
      message,
      found.map(({ userId }) => userId),
    );
    const lacking = new Set(still.filter(({ known }) => known === undefined).map(({ userId }) => userId));
    return found.filter(({ userId }) => lacking.has(userId));
  }

  async function settleMessage(message: AwaitedMessage): Promise<NewWebhook | undefined> {
    const { id, seq, senderId, ageMs, isVoid } = message;
    if (isVoid) return undefined;
    if (ageMs > GIVEN_UP_AFTER_MS) {
      metrics.absenceWebhooks.inc({ outcome: 'given_up' });
      warn('old', (suppressed) =>
        log.error({ messageId: id, suppressed }, 'nobody could be asked for a day who has not got it: no webhook'),
      );
      return undefined;
    }
    const absent = await inTurn(async () => absentOf(message));
    return absent.length > 0 ? { id, seq, senderId, absent } : undefined;
  }

  /** Settles a part of what there is. Answers whether there may be more; throws where the relays could not be asked. */
  async function settlePart(groupId: string, upTo: number): Promise<boolean> {
    const messages = await store.read(groupId, upTo, since, MESSAGES_AT_ONCE);
    const results = await Promise.allSettled(messages.map(settleMessage));
    const failedAt = results.findIndex(({ status }) => status === 'rejected');
    const done = failedAt < 0 ? results : results.slice(0, failedAt);
    const webhooks = done.flatMap((result) => (result.status === 'fulfilled' && result.value ? [result.value] : []));
    const isAll = failedAt < 0 && messages.length < MESSAGES_AT_ONCE;
    const seq = isAll ? upTo : messages[done.length - 1]?.seq;
    if (seq !== undefined) await store.settle(groupId, seq, webhooks);
    if (webhooks.length > 0) deps.onQueued();
    const failed = results[failedAt];
    if (failed?.status === 'rejected') throw failed.reason;
    return !isAll;
  }

  async function work(groupId: string): Promise<void> {
    let upTo = waiting.get(groupId);
    try {
      for (; upTo !== undefined; upTo = waiting.get(groupId)) {
        if (isStopping) return;
        waiting.delete(groupId);
        // One part goes after the other, in order.
        if (await settlePart(groupId, upTo)) note(groupId, upTo);
      }
    } catch (error) {
      if (isStopping) return;
      warn('question', (suppressed) =>
        log.warn(
          { ...describeFailure(error), groupId, suppressed },
          'unable to ask who has not got a message; trying again',
        ),
      );
      if (upTo !== undefined) againLater(groupId, upTo);
    }
  }

  function againLater(groupId: string, upTo: number): void {
    if (retries.size >= MAX_WAITING) return;
    const timer = setTimeout(() => {
      retries.delete(timer);
      note(groupId, upTo);
      pump();
    }, RETRY_MS);
    retries.add(timer.unref());
  }

  function note(groupId: string, seq: number): void {
    if (waiting.size < MAX_WAITING || waiting.has(groupId)) {
      waiting.set(groupId, Math.max(seq, waiting.get(groupId) ?? 0));
    }
  }

  function pump(): void {
    for (const groupId of waiting.keys()) {
      if (isStopping || !relay.connected || active.size >= GROUPS_AT_ONCE) return;
      if (active.has(groupId)) continue;
      const working = work(groupId).finally(() => {
        active.delete(groupId);
        pump();
      });
      active.set(groupId, working);
    }
  }

  async function look(quietMs: number): Promise<void> {
    try {
      for (const { groupId, dispatchedSeq } of await store.findBehind(GROUPS_OF_A_POLL, quietMs)) {
        note(groupId, dispatchedSeq);
      }
      pump();
    } catch (error) {
      warn('poll', (suppressed) =>
        log.warn({ ...describeFailure(error), suppressed }, 'unable to look for messages that nobody asks about'),
      );
    }
  }

  return {
    accepted(groupId, seq) {
      note(groupId, seq);
      pump();
    },
    async start() {
      await look(0);
      // A process that asks about a group does so soon after it has fallen quiet: what is left later is of one that has gone.
      poll = setInterval(() => void look(afterMs + lateMs), pollMs);
    },
    wake: pump,
    async stop() {
      isStopping = true;
      clearInterval(poll);
      for (const timer of retries) clearTimeout(timer);
      await within(STOP_MS, Promise.all(active.values()), 'the relays').catch(() => undefined);
    },
  };
}
