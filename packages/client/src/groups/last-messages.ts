import { isAfter } from '@groupcast/shared/positions';
import type { Api } from '../api/api.ts';
import { backoffMs } from '../base/backoff.ts';
import { type Clock, type Logger, MAX_DELAY_MS } from '../environment.ts';
import { toClientError } from '../errors.ts';
import type { GroupEntry } from './group-entry.ts';

/** Time over which the members' requests for the new last message are spread after a deletion, per member, in milliseconds. */
const SPREAD_PER_MEMBER_MS = 2;
const MIN_SPREAD_MS = 2_000;
/** Shortest and longest delay, beside the spread, before a request that failed is made again, in milliseconds. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;

export interface LastMessagesDeps {
  api: Pick<Api, 'messages'>;
  entries: ReadonlyMap<string, GroupEntry>;
  /** The group has another last message. */
  onChange: (groupId: string) => void;
  clock: Clock;
  random: () => number;
  log: Logger;
}

/** Reads the last message of groups whose last one was deleted. */
export interface LastMessages {
  /** Reads it in a while, if the group has none by then. */
  lookUp: (groupId: string) => void;
  stop: () => void;
}

export function createLastMessages({ api, entries, onChange, clock, random, log }: LastMessagesDeps): LastMessages {
  const timers = new Map<string, unknown>();
  let stopped = false;

  /** After `failures` requests in vain, not before `notBeforeMs`. */
  function lookUp(groupId: string, failures = 0, notBeforeMs = 0): void {
    const { memberCount = 0 } = entries.get(groupId)?.group ?? {};
    if (stopped || timers.has(groupId)) return;
    const spreadMs = random() * Math.max(MIN_SPREAD_MS, memberCount * SPREAD_PER_MEMBER_MS);
    timers.set(
      groupId,
      clock.setTimeout(
        () => {
          timers.delete(groupId);
          read(groupId).catch((cause: unknown) => {
            const { code, retryable, retryAfterMs = 0 } = toClientError(cause);
            log.debug('unable to look up a last message', { groupId, code });
            const waitMs = Math.max(retryAfterMs, backoffMs(failures, RETRY_MIN_MS, RETRY_MAX_MS, random));
            if (retryable) lookUp(groupId, failures + 1, waitMs);
          });
        },
        Math.min(notBeforeMs + spreadMs, MAX_DELAY_MS),
      ),
    );
  }

  async function read(groupId: string): Promise<void> {
    if (entries.get(groupId)?.group.lastMessage !== null) return;
    const { messages, position } = await api.messages(groupId, { limit: 1 });
    const entry = entries.get(groupId);
    const [lastMessage] = messages;
    if (stopped || !entry || !lastMessage || entry.group.lastMessage) return;
    // The page does not include an event that came meanwhile, which may have been another deletion.
    if (isAfter(entry.asOf, position)) return lookUp(groupId);
    entry.group = { ...entry.group, lastMessage };
    onChange(groupId);
  }

  return {
    lookUp: (groupId) => lookUp(groupId),
    stop() {
      stopped = true;
      for (const timer of timers.values()) clock.clearTimeout(timer);
    },
  };
}
