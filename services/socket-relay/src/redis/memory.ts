import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { Cluster } from 'ioredis';
import type { RedisClient } from './clients.ts';

/** Knows whether Redis has room for writes. Redis says so itself, whenever it refuses one. */
export interface RedisMemory {
  /** Looks at the error of any command. */
  noted(error: Error): void;
  /** Whether Redis refused a write for lack of memory a moment ago. */
  isFull(): boolean;
}

/** How long a refusal counts, in milliseconds. A refused write is tried again sooner. */
const FULL_FOR_MS = 10_000;

export function watchRedisMemory(log: Logger, now: () => number = () => performance.now()): RedisMemory {
  const warn = warnOnceEvery(60_000, now);
  let refusedAt = Number.NEGATIVE_INFINITY;
  return {
    noted(error) {
      if (!/\bOOM command not allowed/.test(error.message)) return;
      refusedAt = now();
      warn('full', (suppressed) => {
        log.error(
          { suppressed },
          'redis is out of memory (maxmemory) and takes no broadcasts; publishers are told to try again',
        );
      });
    },
    isFull: () => now() - refusedAt < FULL_FOR_MS,
  };
}

async function policyOf(client: { info(section: string): Promise<string> }): Promise<string | undefined> {
  // It is read from INFO, because managed services forbid CONFIG.
  return /^maxmemory_policy:(\S+)/m.exec(await client.info('memory'))?.[1];
}

/** Warns if Redis may choose what to forget. An eviction is noticed, and costs questions to the API and events that are read again. */
export async function warnOfEviction(commands: RedisClient, log: Logger): Promise<void> {
  try {
    const clients = commands instanceof Cluster ? commands.nodes('master') : [commands];
    const policies = new Set(await Promise.all(clients.map(policyOf)));
    policies.delete('noeviction');
    policies.delete(undefined);
    if (policies.size === 0) return;
    log.warn(
      { policy: [...policies].join(', ') },
      'redis may evict the data that the relays share; set its maxmemory-policy to noeviction',
    );
  } catch (error) {
    log.debug({ err: error }, 'unable to ask redis for its maxmemory-policy');
  }
}
