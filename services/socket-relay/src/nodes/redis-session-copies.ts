import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { RedisConnections } from '../redis/connections.ts';
import { loadScript } from '../redis/lua.ts';
import type { SessionCopy, SessionSource, StoredPage, StoredPlace, StoredSession } from '../sessions/stored-session.ts';

/** How long a copy stays that nobody renews, and one whose connection has gone, in seconds; and how often copies are renewed, in milliseconds. */
const TTL_SECONDS = 600;
const LEFT_TTL_SECONDS = 120;
const RENEW_MS = 200_000;
/** Copies that are renewed at once. */
const RENEWED_AT_ONCE = 500;
const RETRY_MS = 1_000;
/** Most copies of one node, and most groups of them together when they are begun: about 30 MB of Redis. */
const MAX_COPIES = 20_000;
const MAX_GROUPS = 200_000;
/** Before the id of a group, in the name of a field. */
const GROUP = 'g';

interface Copy {
  readonly sessionId: string;
  readonly source: SessionSource;
  /** The parts that are to be written: everything, the page, and groups. */
  all: boolean;
  page: boolean;
  readonly groups: Set<string>;
  /** How long it stays: 0 removes it. */
  ttl: number;
  /** Groups that were counted when it was begun. */
  readonly counted: number;
  isDetached: boolean;
}

interface WithSessions {
  groupcastSession(key: string, ...args: (string | number)[]): Promise<number>;
}

/** `[since, noted]`, and epoch and seq of the position where there is one. */
function encodePlace({ since, noted, position }: StoredPlace): string {
  return JSON.stringify(position ? [since, noted, position.epoch, position.seq] : [since, noted]);
}

function decodePlace(text: string): StoredPlace {
  const [since, noted, epoch, seq] = JSON.parse(text) as [number, number, string?, number?];
  return { since, noted, position: epoch === undefined || seq === undefined ? null : { epoch, seq } };
}

/** Copies of the sessions of this node, one hash each. */
export interface SessionCopies {
  keep(sessionId: string, source: SessionSource): SessionCopy | undefined;
  read(sessionId: string): Promise<StoredSession | undefined>;
  stop(): Promise<void>;
}

export function createSessionCopies(deps: { redis: RedisConnections; holder: string; log: Logger }): SessionCopies {
  const { redis, holder, log } = deps;
  const { commands, names } = redis;
  commands.defineCommand('groupcastSession', { numberOfKeys: 1, lua: loadScript('session-write') });
  const scripts = commands as unknown as WithSessions;
  const warn = warnOnceEvery(60_000);
  const keyOf = (sessionId: string): string => names.key(`session:{${sessionId}}`);
  const copies = new Set<Copy>();
  let groupCount = 0;
  const dirty = new Set<Copy>();
  let timer: NodeJS.Timeout | undefined;
  let isPlanned = false;
  let writing: Promise<unknown> = Promise.resolve();

  function forget(copy: Copy): void {
    if (copies.delete(copy)) groupCount -= copy.counted;
  }

  /** Writes all changes of a turn together. */
  function plan(copy: Copy): void {
    if (copy.isDetached) return;
    dirty.add(copy);
    if (isPlanned) return;
    isPlanned = true;
    queueMicrotask(() => {
      isPlanned = false;
      if (dirty.size > 0) writing = flush([...dirty]);
    });
  }

  function later(batch: Iterable<Copy>): void {
    for (const copy of batch) {
      if (copy.isDetached) continue;
      // Nobody knows how much of it has been written.
      copy.all = true;
      dirty.add(copy);
    }
    timer ??= setTimeout(() => {
      timer = undefined;
      writing = flush([...dirty]);
    }, RETRY_MS).unref();
  }

  function fieldsOf(copy: Copy): { set: [name: string, value: string][]; removed: string[] } {
    const { source, all, page, groups } = copy;
    const set: [string, string][] = all || page ? [['page', JSON.stringify(source.page())]] : [];
    const removed: string[] = [];
    for (const groupId of all ? source.groupIds() : groups) {
      const place = source.place(groupId);
      if (place) set.push([GROUP + groupId, encodePlace(place)]);
      else removed.push(GROUP + groupId);
    }
    return { set, removed };
  }

  async function write(copy: Copy): Promise<void> {
    const { set, removed } = copy.ttl === 0 ? { set: [], removed: [] } : fieldsOf(copy);
    const mode = copy.all && copy.ttl > 0 ? 'claim' : 'change';
    Object.assign(copy, { all: false, page: false });
    copy.groups.clear();
    const key = keyOf(copy.sessionId);
    const result = await scripts.groupcastSession(key, holder, mode, copy.ttl, set.length, ...set.flat(), ...removed);
    if (result === 0) {
      forget(copy);
      copy.isDetached = true;
    } else if (result === -1 && copies.has(copy)) later([copy]);
  }

  async function flush(batch: readonly Copy[]): Promise<void> {
    for (const copy of batch) dirty.delete(copy);
    if (!redis.isReady()) {
      later(batch);
      return;
    }
    const failed: Copy[] = [];
    await Promise.all(
      batch.map(async (copy) =>
        write(copy).catch((error: unknown) => {
          failed.push(copy);
          warn('write', (suppressed) =>
            log.warn({ err: error, suppressed }, 'unable to keep sessions of stock clients in redis; will try again'),
          );
        }),
      ),
    );
    if (failed.length > 0) later(failed);
  }

  async function renew(): Promise<void> {
    const all = [...copies];
    for (let start = 0; start < all.length && redis.isReady(); start += RENEWED_AT_ONCE) {
      const some = all.slice(start, start + RENEWED_AT_ONCE);
      const answers = await Promise.all(
        some.map(async ({ sessionId }) => commands.expire(keyOf(sessionId), TTL_SECONDS)),
      );
      // Redis has forgotten these.
      const lost = some.filter((copy, index) => answers[index] === 0 && copies.has(copy));
      if (lost.length > 0) later(lost);
    }
  }
  const renewing = setInterval(() => {
    renew().catch((error: unknown) => log.debug({ err: error }, 'unable to renew the copies of sessions'));
  }, RENEW_MS);
  renewing.unref();

  return {
    keep(sessionId, source) {
      const counted = [...source.groupIds()].length;
      if (copies.size >= MAX_COPIES || groupCount + counted > MAX_GROUPS) {
        warn('many', (suppressed) =>
          log.warn(
            { copies: copies.size, groups: groupCount, suppressed },
            'too many sessions of stock clients to keep all of them in redis; the others would not outlive this relay',
          ),
        );
        return undefined;
      }
      const copy: Copy = {
        sessionId,
        source,
        all: true,
        page: false,
        groups: new Set(),
        ttl: TTL_SECONDS,
        counted,
        isDetached: false,
      };
      copies.add(copy);
      groupCount += counted;
      plan(copy);
      return {
        moved(groupId) {
          copy.groups.add(groupId);
          copy.page ||= source.isOnPage(groupId);
          plan(copy);
        },
        changed() {
          copy.page = true;
          plan(copy);
        },
        write() {
          if (!dirty.has(copy)) return;
          writing = Promise.all([writing, flush([copy])]);
          redis.sendNow();
        },
        gone(returns) {
          forget(copy);
          copy.ttl = returns ? LEFT_TTL_SECONDS : 0;
          plan(copy);
        },
        detach() {
          forget(copy);
          dirty.delete(copy);
          copy.isDetached = true;
        },
      };
    },
    async read(sessionId) {
      const { holder: other, page, ...fields } = await commands.hgetall(keyOf(sessionId));
      if (other === undefined || page === undefined) return undefined;
      const places = Object.entries(fields)
        .filter(([name]) => name.startsWith(GROUP))
        .map(([name, text]) => [name.slice(GROUP.length), decodePlace(text)] as const);
      return { holder: other, page: JSON.parse(page) as StoredPage, places: new Map(places) };
    },
    async stop() {
      clearInterval(renewing);
      clearTimeout(timer);
      await writing;
      if (redis.isReady()) await flush([...dirty]);
      clearTimeout(timer);
    },
  };
}
