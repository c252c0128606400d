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
/** Most copies of one node, and most groups of them together: about 30 MB of Redis. */
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
  /** Groups that count for it. */
  counted: number;
  /** Redis has had it. */
  isClaimed: boolean;
  /** Its connection has gone: its source says nothing any more. */
  isGone: boolean;
  /** It belongs to somebody else, or to nobody. */
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
  const writing = new Set<Promise<void>>();

  function forget(copy: Copy): void {
    if (copies.delete(copy)) groupCount -= copy.counted;
  }

  /** Writes all changes of a turn together. */
  function plan(copy: Copy): void {
    if (copy.isDetached || copy.isGone) return;
    dirty.add(copy);
    if (isPlanned) return;
    isPlanned = true;
    queueMicrotask(() => {
      isPlanned = false;
      if (dirty.size > 0) flush([...dirty]);
    });
  }

  /** Writes these copies again in a moment. Nobody knows how much of them has been written. */
  function again(batch: Iterable<Copy>): void {
    for (const copy of batch) {
      if (copy.isDetached || (copy.isGone && dirty.size >= MAX_COPIES)) continue;
      copy.all = true;
      if (copy.isGone) copy.ttl = 0;
      dirty.add(copy);
    }
    timer ??= setTimeout(() => {
      timer = undefined;
      flush([...dirty]);
    }, RETRY_MS).unref();
  }

  function tooMany(): void {
    warn('many', (suppressed) =>
      log.warn(
        { copies: copies.size, groups: groupCount, suppressed },
        'too many sessions of stock clients to keep all of them in redis; some would not outlive this relay',
      ),
    );
  }

  /** Takes the changes of the copy, as the arguments of the script. */
  function take(copy: Copy): (string | number)[] {
    const { source, all, page, groups, isClaimed } = copy;
    groupCount += copies.has(copy) ? source.size() - copy.counted : 0;
    copy.counted = source.size();
    if (copies.has(copy) && groupCount > MAX_GROUPS) {
      tooMany();
      forget(copy);
      Object.assign(copy, { ttl: 0, isDetached: true });
    }
    const set: [name: string, value: string][] = [];
    const removed: string[] = [];
    if (copy.ttl > 0 && (all || page)) set.push(['page', JSON.stringify(source.page())]);
    for (const groupId of copy.ttl === 0 ? [] : all ? source.groupIds() : groups) {
      const place = source.place(groupId);
      if (place) set.push([GROUP + groupId, encodePlace(place)]);
      else removed.push(GROUP + groupId);
    }
    Object.assign(copy, { all: false, page: false });
    groups.clear();
    const mode = !all ? 'change' : isClaimed ? 'whole' : 'claim';
    return [mode, copy.ttl, set.length, ...set.flat(), ...removed];
  }

  async function write(copy: Copy): Promise<void> {
    const result = await scripts.groupcastSession(keyOf(copy.sessionId), holder, ...take(copy));
    if (result === 0) {
      forget(copy);
      copy.isDetached = true;
    }
    copy.isClaimed ||= result === 1;
    if (result === -1 && copies.has(copy)) again([copy]);
  }

  function flush(batch: readonly Copy[]): void {
    for (const copy of batch) dirty.delete(copy);
    if (!redis.isReady()) {
      again(batch);
      return;
    }
    for (const copy of batch) {
      const written = write(copy).catch((error: unknown) => {
        warn('write', (suppressed) =>
          log.warn({ err: error, suppressed }, 'unable to keep sessions of stock clients in redis; will try again'),
        );
        again([copy]);
      });
      writing.add(written);
      void written.finally(() => writing.delete(written));
    }
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
      if (lost.length > 0) again(lost);
    }
  }
  const renewing = setInterval(() => {
    renew().catch((error: unknown) => log.debug({ err: error }, 'unable to renew the copies of sessions'));
  }, RENEW_MS);
  renewing.unref();

  return {
    keep(sessionId, source) {
      if (copies.size >= MAX_COPIES || groupCount + source.size() > MAX_GROUPS) {
        tooMany();
        return undefined;
      }
      const copy: Copy = {
        sessionId,
        source,
        all: true,
        page: false,
        groups: new Set(),
        ttl: TTL_SECONDS,
        counted: 0,
        isClaimed: false,
        isGone: false,
        isDetached: false,
      };
      copies.add(copy);
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
          flush([copy]);
          redis.sendNow();
        },
        gone(returns) {
          if (copy.isDetached) return;
          forget(copy);
          copy.ttl = returns ? LEFT_TTL_SECONDS : 0;
          copy.isGone = true;
          // As long as its source can be read.
          flush([copy]);
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
      if (redis.isReady()) flush([...dirty]);
      await Promise.all(writing);
      clearTimeout(timer);
    },
  };
}
