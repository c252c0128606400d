import type { Logger } from '@groupcast/service-kit';
import type { AbsenceConfig } from '../absence-config.ts';
import type { Database } from '../db/database.ts';
import { describeFailure } from '../db/database-errors.ts';
import type { ApiMetrics } from '../metrics.ts';
import type { RelayPort } from '../outbox/relay-connection.ts';
import { type AbsenceQuestions, createAbsenceQuestions } from './absence-questions.ts';
import { createAbsenceSender } from './absence-sender.ts';
import { createAbsenceStore } from './absence-store.ts';

/**
 * Tells a webhook who has not got a message, so that push and mail are one line.
 *
 *      relay accepts ──▶ question: who has it, after a while? ──▶ queue in the database ──▶ webhook ──▶ your service
 *                             │  (again until it is answered)        ▲                         │
 *                             └── cursor of the group, moved with ───┘        (again, for a day, until it is accepted)
 *
 * What is not asked or not sent when a process dies is asked and sent by the next one: a message that is saved while the webhook is set is settled once, and
 * a webhook comes once at least, each time with the same id.
 */
export interface Absences {
  /** The relay has accepted the group's events up to `seq`. */
  accepted(groupId: string, seq: number): void;
  /** The relay can be asked again. */
  wake(): void;
  stop(): Promise<void>;
}

export interface AbsenceDeps {
  db: Database;
  relay: Pick<RelayPort, 'connected' | 'awaitDelivery'>;
  metrics: ApiMetrics;
  log: Logger;
  /** The name under which this process holds groups. */
  owner: string;
}

const TIMES = {
  /** How often messages of processes that have gone are looked for, in milliseconds. */
  lookMs: 30_000,
  /** How often the queue is looked into, in milliseconds. */
  pollMs: 1_000,
  /** Pause after the first attempt that failed, in milliseconds; it doubles. */
  firstPauseMs: 5_000,
  /** How much longer than a question a group is left to the process that asks about it, in milliseconds. */
  lateMs: 10_000,
};

export async function startAbsences(
  deps: AbsenceDeps,
  { url, secret, afterMs }: AbsenceConfig,
  times: typeof TIMES = TIMES,
): Promise<Absences> {
  const { db, relay, metrics, log } = deps;
  const store = createAbsenceStore(db, deps);
  const since = await store.begin();
  const { lookMs, pollMs, firstPauseMs, lateMs } = times;
  const sender = createAbsenceSender({ store, metrics, log }, { url, secret, pollMs, firstPauseMs });
  const questions: AbsenceQuestions = createAbsenceQuestions(
    { store, db, relay, metrics, log, onQueued: () => sender.wake() },
    { afterMs, pollMs: lookMs, lateMs, since },
  );
  await questions.start();
  sender.start();
  return {
    accepted: (groupId, seq) => questions.accepted(groupId, seq),
    wake: () => questions.wake(),
    async stop() {
      await questions.stop();
      await sender.stop();
    },
  };
}

/** Where no webhook is set: forgets what there was to tell, so that nobody is told of the time in between when one is set again. */
export async function forgetAbsences({ db, log, owner }: Pick<AbsenceDeps, 'db' | 'log' | 'owner'>): Promise<void> {
  try {
    if (await createAbsenceStore(db, { owner }).end()) {
      log.warn({}, 'ABSENT_WEBHOOK_URL is not set any more: webhooks that were not sent are forgotten');
    }
  } catch (error) {
    log.warn(describeFailure(error), 'unable to forget the webhooks that were not sent');
  }
}
