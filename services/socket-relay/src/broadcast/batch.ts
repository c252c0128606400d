import type { Logger } from '@groupcast/service-kit';
import {
  type Answer,
  type BatchResult,
  BROADCAST_LIMITS,
  type BroadcastCommand,
  type BroadcastResult,
  GroupcastError,
  parseBroadcast,
  toErrorBody,
} from '@groupcast/shared';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { Arrival } from './throttle.ts';

function sizeOf(items: readonly unknown[]): number {
  try {
    return Buffer.byteLength(JSON.stringify(items));
  } catch (error) {
    throw new GroupcastError('INVALID_PAYLOAD', 'unable to broadcast; the batch is nested too deeply', {
      cause: error,
    });
  }
}

/**
 * Carries out many broadcasts as one command: those of one group in order, and groups beside each other, so that none waits for another one's
 * log. A bad item fails alone; after a retryable failure the later items of its group fail too, and wait for the next try.
 * `onLogged` is called once nothing of the batch will come into a log any more; those whom a publisher expects are waited for after that.
 */
export function createBatchBroadcast(deps: {
  broadcast: (command: BroadcastCommand, arrival: Arrival) => Promise<BroadcastResult>;
  /** Waits for those whom the publisher expects, if it does. */
  awaitDelivery: (command: BroadcastCommand, result: BroadcastResult) => Promise<BroadcastResult>;
  metrics: RelayMetrics;
  log: Logger;
}): (items: readonly unknown[], arrival: Arrival, onLogged: () => void) => Promise<BatchResult> {
  const { broadcast, awaitDelivery, metrics, log } = deps;

  function refuse(error: unknown, groupId?: string): Answer<BroadcastResult> & { ok: false } {
    const body = toErrorBody(error);
    if (!(error instanceof GroupcastError)) log.error({ err: error, groupId }, 'broadcast failed');
    metrics.eventsRefused.inc({ code: body.code });
    return { ok: false, error: body };
  }

  return async (items, arrival, onLogged) => {
    if (sizeOf(items) > BROADCAST_LIMITS.batchBytes) {
      throw new GroupcastError(
        'PAYLOAD_TOO_LARGE',
        `unable to broadcast; a batch may have ${BROADCAST_LIMITS.batchBytes} bytes`,
      );
    }
    const results: Answer<BroadcastResult>[] = [];
    /** No item waits for those whom another one is expected to reach. */
    const deliveries: Promise<void>[] = [];
    const groups = new Map<string, { place: number; command: BroadcastCommand }[]>();
    for (const [place, item] of items.entries()) {
      try {
        const command = parseBroadcast(item);
        const group = groups.get(command.groupId) ?? [];
        group.push({ place, command });
        groups.set(command.groupId, group);
      } catch (error) {
        results[place] = refuse(error);
      }
    }

    async function carryOut(groupId: string, line: readonly { place: number; command: BroadcastCommand }[]) {
      let blocked: GroupcastError | undefined;
      for (const { place, command } of line) {
        try {
          if (blocked)
            throw new GroupcastError(blocked.code, 'unable to broadcast; an earlier item of the group failed', {
              cause: blocked,
            });
          // The items of a group are in order.
          const result = await broadcast(command, arrival);
          results[place] = { ok: true, ...result };
          if (command.expectedUserIds) {
            deliveries.push(
              awaitDelivery(command, result).then(
                (whole) => void (results[place] = { ok: true, ...whole }),
                // The item was broadcast all the same.
                (error: unknown) => log.error({ err: error, groupId }, 'unable to tell whom a broadcast has reached'),
              ),
            );
          }
        } catch (error) {
          const answer = refuse(error, groupId);
          results[place] = answer;
          const { code, message, retryable } = answer.error;
          // After a conflict the publisher opens another epoch, and sends the later ones again in it.
          if (!retryable && code !== 'CONFLICT') continue;
          blocked = error instanceof GroupcastError ? error : new GroupcastError('INTERNAL', message);
        }
      }
    }

    await Promise.all([...groups].map(async ([groupId, line]) => carryOut(groupId, line)));
    onLogged();
    await Promise.all(deliveries);
    return { results };
  };
}
