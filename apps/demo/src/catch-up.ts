import type { GroupEvent, Position } from '@groupcast/shared';
import { ApiError, type EventsPage } from './api.ts';
import { coalesce } from './coalesce.ts';

const RETRY_MS = 2_000;

export interface CatchUpDeps {
  /** Where the group stands now; `undefined` when it is not ours any more. */
  positionOf: (groupId: string) => Position | undefined;
  fetchEvents: (groupId: string, after: Position) => Promise<EventsPage>;
  apply: (event: GroupEvent) => void;
  /** The position means nothing any more: everything about the group has to be read anew. */
  onReset: (groupId: string) => void;
  /** The API will not answer for this group. */
  onRefused: (groupId: string) => void;
}

export interface CatchUp {
  /** Reads what the group is missing. While that runs, a further request makes it look once more afterwards. */
  request: (groupId: string) => void;
  stop: () => void;
}

/** Closes gaps by reading the API's `/events`, one read per group at a time, in order, until there is no more. */
export function createCatchUp(deps: CatchUpDeps): CatchUp {
  const runs = new Map<string, () => Promise<void>>();
  const retries = new Set<ReturnType<typeof setTimeout>>();
  let stopped = false;

  async function readAll(groupId: string): Promise<void> {
    for (;;) {
      const position = deps.positionOf(groupId);
      if (stopped || !position) return;
      const page = await deps.fetchEvents(groupId, position);
      if (page.reset) return deps.onReset(groupId);
      for (const event of page.events) deps.apply(event);
      if (!page.more || page.events.length === 0) return;
    }
  }

  async function run(groupId: string): Promise<void> {
    try {
      await readAll(groupId);
    } catch (error) {
      if (stopped) return;
      if (error instanceof ApiError && !error.retryable) return deps.onRefused(groupId);
      retryLater(groupId, error instanceof ApiError ? error.retryAfterMs : undefined);
    }
  }

  function retryLater(groupId: string, delay = RETRY_MS): void {
    const timer = setTimeout(() => {
      retries.delete(timer);
      request(groupId);
    }, delay);
    retries.add(timer);
  }

  function request(groupId: string): void {
    if (stopped) return;
    const known = runs.get(groupId) ?? coalesce(() => run(groupId));
    runs.set(groupId, known);
    void known();
  }

  return {
    request,
    stop: () => {
      stopped = true;
      for (const timer of retries) clearTimeout(timer);
    },
  };
}
