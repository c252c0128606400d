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
import type { RelayMetrics } from '../metrics.ts';
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
 * Carries out many broadcasts as one command, in order. A bad item fails alone; after a retryable failure the later items of its group fail
 * too, and wait for the next try.
 */
export function createBatchBroadcast(deps: {
  broadcast: (command: BroadcastCommand, arrival: Arrival) => Promise<BroadcastResult>;
  metrics: RelayMetrics;
  log: Logger;
}): (items: readonly unknown[], arrival: Arrival) => Promise<BatchResult> {
  const { broadcast, metrics, log } = deps;

  return async (items, arrival) => {
    if (sizeOf(items) > BROADCAST_LIMITS.batchBytes) {
      throw new GroupcastError(
        'PAYLOAD_TOO_LARGE',
        `unable to broadcast; a batch may have ${BROADCAST_LIMITS.batchBytes} bytes`,
      );
    }
    const blocked = new Map<string, GroupcastError>();
    const results: Answer<BroadcastResult>[] = [];
    for (const item of items) {
      let groupId: string | undefined;
      try {
        const command = parseBroadcast(item);
        groupId = command.groupId;
        const earlier = blocked.get(groupId);
        if (earlier)
          throw new GroupcastError(earlier.code, 'unable to broadcast; an earlier item of the group failed', {
            cause: earlier,
          });
        results.push({ ok: true, ...(await broadcast(command, arrival)) });
      } catch (error) {
        const body = toErrorBody(error);
        if (!(error instanceof GroupcastError)) log.error({ err: error, groupId }, 'broadcast failed');
        // After a conflict the publisher opens another epoch, and sends the later ones again in it.
        const stops = body.retryable || body.code === 'CONFLICT';
        if (stops && groupId !== undefined) {
          blocked.set(groupId, error instanceof GroupcastError ? error : new GroupcastError('INTERNAL', body.message));
        }
        metrics.eventsRefused.inc({ code: body.code });
        results.push({ ok: false, error: body });
      }
    }
    return { results };
  };
}
