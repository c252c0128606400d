import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { Cluster } from 'ioredis';
import type { RedisClient } from './clients.ts';

/** Whether Redis has room for what is written. It says so itself, whenever it refuses. */
export interface RedisMemory {
  /** Looks at an error of any command. */
  noted(error: Error): void;
  /** Redis refused a write for lack of memory a moment ago. */
  isFull(): boolean;
}

/** How long a refusal counts, in milliseconds. What could not be written is tried again sooner. */
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
          'redis is out of memory (maxmemory) and takes no broadcasts; publishers are told to come again',
        );
      });
    },
    isFull: () => now() - refusedAt < FULL_FOR_MS,
  };
}

async function policyOf(client: { info(section: string): Promise<string> }): Promise<string | undefined> {
  // Of INFO, because managed services forbid CONFIG.
  return /^maxmemory_policy:(\S+)/m.exec(await client.info('memory'))?.[1];
}

/** Redis must not choose what to forget. What it forgets is noticed, and costs questions to the API and events that are read again. */
export async function warnOfEviction(commands: RedisClient, log: Logger): Promise<void> {
  try {
    const clients = commands instanceof Cluster ? commands.nodes('master') : [commands];
    const policies = new Set(await Promise.all(clients.map(policyOf)));
    policies.delete('noeviction');
    policies.delete(undefined);
    if (policies.size === 0) return;
    log.warn(
      { policy: [...policies].join(', ') },
      'redis may evict what the relays share; set its maxmemory-policy to noeviction',
    );
  } catch (error) {
    log.debug({ err: error }, 'unable to ask redis for its maxmemory-policy');
  }
}
