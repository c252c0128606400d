import { type Logger, warnOnceEvery, within } from '@groupcast/service-kit';
import { describeFailure } from '../db/database-errors.ts';
import type { ApiMetrics } from '../metrics.ts';
import { GIVEN_UP_AFTER_MS } from './absence-questions.ts';
import type { AbsenceStore, AbsenceWebhook } from './absence-store.ts';
import { signedHeaders } from './signature.ts';

/** Sends what is in the queue, each webhook once at least. */
export interface AbsenceSender {
  start(): void;
  /** There is something new in the queue. */
  wake(): void;
  /** Begins nothing more. What is not answered soon is sent again by the next process. */
  stop(): Promise<void>;
}

const AT_ONCE = 8;
/** Longest that one attempt may take, in milliseconds, its whole answer included. */
const ATTEMPT_MS = 10_000;
/** Most bytes of an answer that are read; nothing is done with them. */
const MAX_ANSWER_BYTES = 65_536;
/** Longest that stopping waits for answers, in milliseconds. */
const STOP_MS = 2_000;
/** Longest pause between two attempts, in milliseconds. */
const MAX_PAUSE_MS = 3_600_000;

/** The name under which a receiver knows the webhook: the same with every attempt. */
const webhookId = ({ id }: AbsenceWebhook): string => `absent_${id}`;

function bodyOf({ id, groupId, seq, senderId, absent, createdAt }: AbsenceWebhook): string {
  const data = { messageId: id, groupId, seq, senderId, absent };
  return JSON.stringify({ type: 'message.absent', timestamp: createdAt.toISOString(), data });
}

/** Reads an answer to its end or to its bound, so that its connection can be used again, or is given up. */
async function drain({ body }: Response): Promise<void> {
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += (chunk as Uint8Array).byteLength;
    // Leaving the loop cancels the rest.
    if (bytes > MAX_ANSWER_BYTES) return;
  }
}

function failureOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  const code = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : undefined;
  return code ?? (error.name === 'TimeoutError' ? `no answer within ${ATTEMPT_MS} ms` : error.message);
}

export function createAbsenceSender(
  deps: { store: AbsenceStore; metrics: ApiMetrics; log: Logger },
  options: { url: string; secret: Buffer; pollMs: number; firstPauseMs: number },
): AbsenceSender {
  const { store, metrics, log } = deps;
  const { url, secret, pollMs, firstPauseMs } = options;
  // A URL may have a secret in its path or query.
  const { origin } = new URL(url);
  const warn = warnOnceEvery(60_000);
  const active = new Set<Promise<void>>();
  let poll: NodeJS.Timeout | undefined;
  let isTaking = false;
  let isWanted = false;
  let isStopping = false;

  /** The reason why it was not accepted; undefined where it was. */
  async function attempt(webhook: AbsenceWebhook): Promise<string | undefined> {
    const body = bodyOf(webhook);
    const id = webhookId(webhook);
    const seconds = Math.floor(Date.now() / 1_000);
    try {
      const response = await fetch(url, {
        method: 'POST',
        // Whoever answers there must not send what we say to somebody else.
        redirect: 'manual',
        headers: { 'content-type': 'application/json', ...signedHeaders({ id, seconds, body }, secret) },
        body,
        signal: AbortSignal.timeout(ATTEMPT_MS),
      });
      // It has been accepted, however its answer ends.
      await drain(response).catch(() => undefined);
      return response.ok ? undefined : `HTTP ${response.status}`;
    } catch (error) {
      return failureOf(error);
    }
  }

  async function send(webhook: AbsenceWebhook): Promise<void> {
    const { id, attempts, ageMs } = webhook;
    const reason = await attempt(webhook);
    if (reason === undefined) {
      metrics.absenceWebhooks.inc({ outcome: 'sent' });
      await store.remove(id);
      return;
    }
    if (ageMs > GIVEN_UP_AFTER_MS) {
      metrics.absenceWebhooks.inc({ outcome: 'given_up' });
      log.error({ messageId: id, attempts, reason, origin }, 'a webhook was refused for a day: it is given up');
      await store.remove(id);
      return;
    }
    metrics.absenceWebhooks.inc({ outcome: 'failed' });
    warn('refused', (suppressed) =>
      log.warn({ messageId: id, attempts, reason, origin, suppressed }, 'a webhook was not accepted; trying again'),
    );
    const pause = Math.min(MAX_PAUSE_MS, firstPauseMs * 2 ** Math.min(attempts - 1, 20));
    await store.postpone(id, Math.round(pause * (0.5 + Math.random() / 2)));
  }

  /** A webhook that the database could not settle is left to the next attempt, a minute later. */
  function noteFailure(error: unknown): void {
    warn('database', (suppressed) =>
      log.warn({ ...describeFailure(error), suppressed }, 'unable to work on the queue of webhooks; trying again'),
    );
  }

  function begin(webhook: AbsenceWebhook): void {
    const sending = send(webhook)
      .catch(noteFailure)
      .finally(() => {
        active.delete(sending);
        void takeAll();
      });
    active.add(sending);
  }

  async function takeAll(): Promise<void> {
    isWanted = true;
    if (isTaking) return;
    isTaking = true;
    try {
      while (isWanted && active.size < AT_ONCE) {
        if (isStopping) return;
        isWanted = false;
        // One at a time is what bounds them.
        const taken = await store.take(AT_ONCE - active.size);
        for (const webhook of taken) begin(webhook);
      }
    } catch (error) {
      noteFailure(error);
    } finally {
      isTaking = false;
    }
  }

  return {
    start() {
      poll = setInterval(() => void takeAll(), pollMs);
      void takeAll();
    },
    wake: () => void takeAll(),
    async stop() {
      isStopping = true;
      clearInterval(poll);
      await within(STOP_MS, Promise.all(active), 'the webhooks').catch(() => undefined);
    },
  };
}
