import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { RedisConnections } from '../redis/connections.ts';
import { loadScript } from '../redis/lua.ts';
import type { Comeback } from '../sessions/comeback.ts';
import type { SessionCopy, SessionSource, StoredPage, StoredPlace, StoredSession } from '../sessions/stored-session.ts';

/** How long a copy stays that nobody renews, and one whose connection has gone, in seconds; and how often copies are renewed, in milliseconds. */
const TTL_SECONDS = 600;
const LEFT_TTL_SECONDS = 120;
const RENEW_MS = 200_000;
const RETRY_MS = 1_000;
/** Copies that are renewed, or written again, at once, and the pause after them, in milliseconds. */
const AT_ONCE = 200;
const PAUSE_MS = 50;
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
  /** Groups that count for it. */
  counted: number;
  /** The number of the last write that was sent. */
  writes: number;
  /** The process that had the session when it was looked for: this one may take it from there. */
  readonly previous: string;
  /** Redis has had it. */
  isClaimed: boolean;
  /** Its last write has failed, and nobody knows how much of it is there. */
  hasFailed: boolean;
  /** `gone`: the source can be read no more. `over`: another process has it. */
  state: 'kept' | 'gone' | 'over';
}

type Mode = 'claim' | 'whole' | 'change';

interface Writing {
  mode: Mode;
  ttl: number;
  set?: readonly (readonly [name: string, value: string])[];
  removed?: readonly string[];
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

/** The process that has a session, and the session unless it has ended. */
interface FoundCopy {
  holder: string;
  session?: StoredSession;
}

function newCopy(sessionId: string, source: SessionSource, previous: string): Copy {
  const changes = { all: true, page: false, groups: new Set<string>() };
  const isNew = { isClaimed: false, hasFailed: false, state: 'kept' } as const;
  return { sessionId, source, previous, counted: 0, writes: 0, ...changes, ...isNew };
}

/** Takes the changes of a copy. */
function take(copy: Copy): Writing {
  const { source, all, page, groups, isClaimed } = copy;
  const moved = all ? [...source.groupIds()] : [...groups];
  Object.assign(copy, { all: false, page: false });
  groups.clear();
  const set: [string, string][] = [];
  const removed: string[] = [];
  if (all || page) set.push(['page', JSON.stringify(source.page())]);
  // It changes only where all has changed.
  const comeback = all ? source.comeback() : undefined;
  if (comeback) set.push(['comeback', JSON.stringify(comeback)]);
  for (const groupId of moved) {
    const place = source.place(groupId);
    if (place) set.push([GROUP + groupId, encodePlace(place)]);
    else removed.push(GROUP + groupId);
  }
  return { mode: !all ? 'change' : isClaimed ? 'whole' : 'claim', ttl: TTL_SECONDS, set, removed };
}

/** Reads the hash of a copy. */
function readCopy({ holder, page, comeback, ...fields }: Record<string, string>): FoundCopy | undefined {
  if (holder === undefined) return undefined;
  if (page === undefined) return { holder };
  const places = Object.entries(fields)
    .filter(([name]) => name.startsWith(GROUP))
    .map(([name, text]) => [name.slice(GROUP.length), decodePlace(text)] as const);
  const session = {
    holder,
    page: JSON.parse(page) as StoredPage,
    comeback: comeback === undefined ? undefined : (JSON.parse(comeback) as Comeback),
    places: new Map(places),
  };
  return { holder, session };
}

/** Renews copies, some at a time. Returns those that are not there. */
async function renewAll(copies: readonly Copy[], renew: (copy: Copy) => Promise<number>): Promise<Copy[]> {
  const lost: Copy[] = [];
  for (let start = 0; start < copies.length; start += AT_ONCE) {
    const some = copies.slice(start, start + AT_ONCE);
    const answers = await Promise.all(some.map(renew));
    lost.push(...some.filter((_, index) => answers[index] === 0));
  }
  return lost;
}

/** Copies that are flushed later, some at a time, while Redis is there. */
function createRetries(isReady: () => boolean, flush: (copy: Copy) => void) {
  const waiting = new Set<Copy>();
  let timer: NodeJS.Timeout | undefined;

  function retry(): void {
    timer = undefined;
    for (const copy of isReady() ? [...waiting].slice(0, AT_ONCE) : []) {
      waiting.delete(copy);
      flush(copy);
    }
    if (waiting.size > 0) timer ??= setTimeout(retry, isReady() ? PAUSE_MS : RETRY_MS).unref();
  }

  return {
    size: () => waiting.size,
    has: (copy: Copy) => waiting.has(copy),
    delete: (copy: Copy) => void waiting.delete(copy),
    add(copy: Copy): void {
      waiting.add(copy);
      timer ??= setTimeout(retry, RETRY_MS).unref();
    },
    /** Takes all of them. */
    stop(): Copy[] {
      clearTimeout(timer);
      return [...waiting];
    },
  };
}

/** Copies of the sessions of this node, one hash each. */
export interface RedisSessionCopies {
  keep(sessionId: string, source: SessionSource, previous?: string): SessionCopy | undefined;
  read(sessionId: string): Promise<FoundCopy | undefined>;
  stop(): Promise<void>;
}

export function createRedisSessionCopies(deps: {
  redis: RedisConnections;
  holder: string;
  log: Logger;
}): RedisSessionCopies {
  const { redis, holder, log } = deps;
  const { commands, names } = redis;
  commands.defineCommand('groupcastSession', { numberOfKeys: 1, lua: loadScript('session-write') });
  const scripts = commands as unknown as WithSessions;
  const warn = warnOnceEvery(60_000);
  const keyOf = (sessionId: string): string => names.key(`session:{${sessionId}}`);
  const copies = new Set<Copy>();
  /** The newest copy of each session: an earlier one of the same session writes nothing any more. */
  const newest = new Map<string, Copy>();
  let groupCount = 0;
  /** Copies with changes of this turn, and copies that are written again because a write has failed or was lost. */
  const dirty = new Set<Copy>();
  const retries = createRetries(redis.isReady, flush);
  let isPlanned = false;
  /** Some of what was written in this turn may not have left. */
  let isGathering = false;
  const sent = new Set<Promise<void>>();

  function forget(copy: Copy): void {
    if (copies.delete(copy)) groupCount -= copy.counted;
    if (newest.get(copy.sessionId) === copy) newest.delete(copy.sessionId);
    dirty.delete(copy);
    retries.delete(copy);
  }

  /** Writes all changes of a turn together. */
  function plan(copy: Copy): void {
    // All of it will be written.
    if (retries.has(copy) || copy.state !== 'kept') return;
    dirty.add(copy);
    if (isPlanned) return;
    isPlanned = true;
    queueMicrotask(() => {
      isPlanned = false;
      for (const each of dirty) flush(each);
    });
  }

  /** Writes these copies again in a moment. Nobody knows how much of them has been written. */
  function again(some: Iterable<Copy>): void {
    for (const copy of some) {
      if (copy.state === 'over' || (copy.state === 'gone' && retries.size() >= MAX_COPIES)) continue;
      copy.all = true;
      dirty.delete(copy);
      retries.add(copy);
    }
  }

  function tooMany(): void {
    warn('many', (suppressed) =>
      log.warn(
        { copies: copies.size, groups: groupCount, suppressed },
        'too many sessions of stock clients to keep all of them in redis; some would not outlive this relay',
      ),
    );
  }

  /** Counts the groups of the copy as they are now. Returns false where they are too many. */
  function count(copy: Copy): boolean {
    if (!copies.has(copy)) return true;
    const size = copy.source.size();
    groupCount += size - copy.counted;
    copy.counted = size;
    return groupCount <= MAX_GROUPS;
  }

  async function write(copy: Copy, { mode, ttl, set = [], removed = [] }: Writing): Promise<void> {
    copy.writes += 1;
    const args = [holder, mode, copy.previous, copy.writes, ttl, set.length, ...set.flat(), ...removed];
    const result = await scripts.groupcastSession(keyOf(copy.sessionId), ...args);
    if (result === 1) Object.assign(copy, { isClaimed: true, hasFailed: false });
    if (result === 0) {
      forget(copy);
      copy.state = 'over';
    }
    if (result === -1) {
      // Redis has lost some of it, and answers.
      copy.all = true;
      retries.delete(copy);
      flush(copy);
    }
  }

  function send(copy: Copy, writing: Writing): void {
    if (!redis.isReady()) {
      copy.hasFailed = true;
      again([copy]);
      return;
    }
    if (!isGathering) {
      isGathering = true;
      setImmediate(() => (isGathering = false));
    }
    const done = write(copy, writing).catch((error: unknown) => {
      copy.hasFailed = true;
      warn('write', (suppressed) =>
        log.warn({ err: error, suppressed }, 'unable to keep sessions of stock clients in redis; will try again'),
      );
      again([copy]);
    });
    sent.add(done);
    void done.finally(() => sent.delete(done));
  }

  /** Writes that the session has ended, as long as it is this process's own, or was of the one that it is taken from. */
  const ended = ({ isClaimed }: Copy): Writing => ({ mode: isClaimed ? 'whole' : 'claim', ttl: LEFT_TTL_SECONDS });

  function flush(copy: Copy): void {
    dirty.delete(copy);
    const { state, sessionId } = copy;
    if (state === 'over' || (newest.get(sessionId) ?? copy) !== copy) return;
    if (state === 'gone') send(copy, ended(copy));
    else if (count(copy)) send(copy, take(copy));
    else {
      tooMany();
      end(copy);
    }
  }

  function end(copy: Copy): void {
    if (copy.state === 'over') return;
    forget(copy);
    send(copy, ended(copy));
    copy.state = 'gone';
  }

  async function renew(): Promise<void> {
    const renewOne = async ({ sessionId }: Copy): Promise<number> => commands.expire(keyOf(sessionId), TTL_SECONDS);
    const lost = redis.isReady() ? await renewAll([...copies], renewOne) : [];
    again(lost.filter((copy) => copies.has(copy)));
  }
  const renewing = setInterval(() => {
    renew().catch((error: unknown) => log.debug({ err: error }, 'unable to renew the copies of sessions'));
  }, RENEW_MS);
  renewing.unref();
  // Another server may have taken over that has not got the last writes.
  const onReady = (): void => again(copies);
  commands.on('ready', onReady).on('+node', onReady);

  return {
    keep(sessionId, source, previous = '') {
      const copy = newCopy(sessionId, source, previous);
      if (copies.size >= MAX_COPIES) {
        tooMany();
        end(copy);
        return undefined;
      }
      copies.add(copy);
      newest.set(sessionId, copy);
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
        renewed() {
          copy.all = true;
          plan(copy);
        },
        write() {
          const waits = retries.has(copy) && (copy.page || copy.groups.size > 0);
          if (waits) retries.delete(copy);
          if (waits || dirty.has(copy)) flush(copy);
          if (isGathering) redis.sendNow();
        },
        gone() {
          if (copy.state === 'over' || copy.state === 'gone') return;
          const isPending = retries.has(copy) && copy.hasFailed;
          const pending = take(copy);
          forget(copy);
          // Its source can be read now, and not later. Where a write has failed, so that another one may too, it is not kept.
          if (isPending) end(copy);
          else send(copy, { ...pending, ttl: LEFT_TTL_SECONDS });
          copy.state = 'gone';
        },
        end: () => end(copy),
      };
    },
    async read(sessionId) {
      return readCopy(await commands.hgetall(keyOf(sessionId)));
    },
    async stop() {
      clearInterval(renewing);
      commands.off('ready', onReady).off('+node', onReady);
      for (const copy of [...dirty, ...retries.stop()]) if (redis.isReady()) flush(copy);
      await Promise.all(sent);
      retries.stop();
    },
  };
}
