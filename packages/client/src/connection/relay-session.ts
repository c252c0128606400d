import type { Position } from '@groupcast/shared';
import { parsePosition } from '@groupcast/shared/positions';
import { createWaits } from '../base/backoff.ts';
import { fieldsOf, parseEvent, parseHead, parseId, parseList } from '../base/parse.ts';
import type { Clock, Logger } from '../environment.ts';
import { ClientError, toClientError } from '../errors.ts';
import type { Answer } from '../inbox/catch-up.ts';
import type { Inbox } from '../inbox/inbox.ts';
import type { RelayLink } from './relay-link.ts';

/** An event without a position (`typing`, `presence`, a publisher's own): shown live, never repeated, never recovered. */
export interface TransientEvent {
  event: string;
  payload: unknown;
}

export interface RelaySessionDeps {
  inbox: Inbox;
  link: () => RelayLink | undefined;
  /** While the API stands in for the relay, it is asked at once; otherwise the relay is waited for. */
  isPolling: () => boolean;
  holdMs: number;
  /** The first word on where a group stands. */
  open: (groupId: string, position: Position) => void;
  /** Inbox calls hand what is due to this. */
  deliver: (groupId: string, due: ReturnType<Inbox['receive']>, live: boolean) => void;
  /** Something about the group was heard: look whether it is behind. */
  check: (groupId: string, when?: 'now') => void;
  force: (groupId: string, from: 'relay' | 'api') => void;
  /** The relay names a group nobody has described yet, or disputes one. */
  onUnclear: () => void;
  onLeft: (groupId: string) => void;
  /** What the relay has to say about the time before is said. */
  onGreeted: () => void;
  /** The relay says that it delivers nothing at the moment, or that it does again. */
  onLive: (live: boolean) => void;
  onTransient: (event: TransientEvent) => void;
  clock: Clock;
  log: Logger;
}

/** A group may be called `constructor`, which every object has. */
function ownOf<T>(object: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** What is said between this client and the relay on one connection after another. */
export interface RelaySession {
  /** The handshake's part: where every group stands. */
  handshake: () => { positions?: Record<string, Position> };
  opened: () => void;
  down: () => void;
  onEvent: (name: string, payload: unknown) => void;
  askRelay: (groupId: string, after: Position) => Promise<Answer>;
  /** Asks to be let into the groups that this connection does not get live. */
  joinMissing: () => void;
  readonly greeted: boolean;
  /** The relay has not said that it delivers nothing at the moment. */
  readonly live: boolean;
  stop: () => void;
}

/** The relay greets with `joined-groups`, and `resumed` right behind it if it recovers. This long at most, in milliseconds. */
const GREETING_MS = 5_000;
const REJOIN_MS = 30_000;
/** How often the list is read for groups that are not live because there are too many, in milliseconds. */
const LOOK_AFTER_MS = 60_000;
/** Told to slow down without a number, in milliseconds. */
const RATE_LIMIT_MS = 1_000;
/** An answer to `resume` holds so many events, however many groups it is about. */
const GROUPS_PER_RESUME = 50;
/** Most groups in a handshake; the others are joined afterwards. */
const GROUPS_PER_HANDSHAKE = 1_000;

type Answers = ReadonlyMap<string, Answer>;

interface Batch {
  positions: Map<string, Position>;
  answers: Promise<Answers>;
}

export function createRelaySession(deps: RelaySessionDeps): RelaySession {
  const { inbox, clock, log } = deps;
  /** Groups whose events this connection gets. */
  const live = new Set<string>();
  /** Groups the relay did not let this connection into; asked for again in a while. */
  const refused = new Set<string>();
  let asked: Record<string, Position> = {};
  let unknown = new Set<string>();
  let greeted = false;
  let isLive = true;
  /** The relay has said which groups this connection is in. */
  let welcomed = false;
  let canResume = true;
  let joining = false;
  let full = false;
  let greetingTimer: unknown;
  let rejoinTimer: unknown;
  let lookTimer: unknown;
  let batch: Batch | undefined;
  let lastBatch: Promise<unknown> = Promise.resolve();
  const waits = createWaits(clock);

  function greetWithin(delayMs: number): void {
    clock.clearTimeout(greetingTimer);
    greetingTimer = clock.setTimeout(greet, delayMs);
  }

  function greet(): void {
    clock.clearTimeout(greetingTimer);
    if (greeted) return;
    greeted = true;
    for (const groupId of unknown) deps.force(groupId, 'api');
    unknown = new Set();
    for (const groupId of Object.keys(inbox.positions())) deps.check(groupId, 'now');
    deps.onGreeted();
  }

  /** Where the relay says that a group stands, without its events; `null` where it does not know. */
  function standing(groupId: string, position: Position | undefined): void {
    if (inbox.lagOf(groupId) === 'unopened') {
      if (position) deps.open(groupId, position);
      deps.onUnclear();
    } else if (position) inbox.head(groupId, position);
    // Without a log the relay cannot tell what was missed; only the API can.
    else if (greeted) deps.force(groupId, 'api');
    else unknown.add(groupId);
  }

  function onJoined(payload: unknown): void {
    welcomed = true;
    const named = parseList(fieldsOf(payload)?.['groups'], (item) => {
      const groupId = parseId(fieldsOf(item)?.['groupId']);
      return groupId === undefined ? undefined : { groupId, position: parsePosition(fieldsOf(item)?.['position']) };
    });
    const undecided = parseList(fieldsOf(payload)?.['undecided'], parseId);
    if (undecided.length > 0) {
      log.warn('the relay cannot ask its API about these groups yet; they are not live', {
        groups: undecided.join(' '),
      });
      // It joins them by itself, and is asked again in a while.
      for (const groupId of undecided) notJoined(groupId, 'API_UNAVAILABLE');
    }
    for (const { groupId, position } of named) {
      live.add(groupId);
      refused.delete(groupId);
      standing(groupId, position);
      if (greeted) deps.check(groupId, 'now');
    }
    // A relay that recovers sends `resumed` in the same breath; one that does not is not waited for.
    if (greeted) deps.onGreeted();
    else if (Object.keys(asked).length === 0) greet();
    else greetWithin(deps.holdMs);
  }

  /** One group's answer to `join-group`, `resume` or the handshake, asked from `after`. */
  function readAnswer(groupId: string, after: Position | undefined, value: unknown): Answer {
    const fields = fieldsOf(value);
    const error = fieldsOf(fields?.['error']);
    if (!fields || error) {
      live.delete(groupId);
      notJoined(groupId, error?.['code']);
      return { kind: 'none' };
    }
    const more = fields['more'] === true;
    const position = parsePosition(fields['position']);
    if (more) live.delete(groupId);
    else live.add(groupId);
    if (!more) refused.delete(groupId);
    if (after && position && fields['recovered'] === true) {
      unknown.delete(groupId);
      const events = parseList(fields['events'], (item) => parseEvent(item));
      return { kind: 'page', page: { events, position, more } };
    }
    standing(groupId, position);
    return { kind: 'none' };
  }

  function onResumed(payload: unknown): void {
    for (const [key, value] of Object.entries(fieldsOf(fieldsOf(payload)?.['groups']) ?? {})) {
      const groupId = parseId(key);
      if (groupId === undefined) continue;
      const after = ownOf(asked, groupId);
      const answer = readAnswer(groupId, after, value);
      if (answer.kind !== 'page' || !after) continue;
      deps.deliver(groupId, inbox.page(groupId, after, answer.page), false);
      if (answer.page.more) deps.force(groupId, 'relay');
    }
    greet();
  }

  function onLeft(payload: unknown): void {
    const { groups, reason } = fieldsOf(payload) ?? {};
    for (const groupId of parseList(groups, parseId)) {
      live.delete(groupId);
      if (reason === 'member-removed') deps.onLeft(groupId);
      else {
        if (reason === 'group-limit') notJoined(groupId, 'GROUP_LIMIT');
        deps.onUnclear();
      }
    }
    // There is room again.
    if (reason === 'member-removed' && full) {
      full = false;
      refused.clear();
      joinMissing();
    }
  }

  function onHead(payload: unknown): void {
    const head = parseHead(payload);
    if (!head) return;
    const { groupId, epoch, seq, skipId } = head;
    if (skipId === undefined) inbox.head(groupId, { epoch, seq });
    else deps.deliver(groupId, inbox.skip(groupId, { epoch, seq }), true);
    deps.check(groupId);
  }

  /** Cut off from the other relays, it answers nothing about groups either: only the API can say what happens in them. */
  function onServiceState(payload: unknown): void {
    const now = fieldsOf(payload)?.['live'];
    if (typeof now !== 'boolean' || now === isLive) return;
    isLive = now;
    deps.onLive(isLive);
    if (!isLive) return;
    refused.clear();
    for (const groupId of Object.keys(inbox.positions())) deps.check(groupId, 'now');
    joinMissing();
  }

  function onGroupEvent(name: string, payload: unknown): void {
    const event = parseEvent(payload, name);
    if (!event) return deps.onTransient({ event: name, payload });
    deps.deliver(event.groupId, inbox.receive(event), true);
    if (inbox.lagOf(event.groupId) === 'unopened') deps.onUnclear();
    deps.check(event.groupId);
  }

  async function resume(link: RelayLink, positions: ReadonlyMap<string, Position>): Promise<Answers> {
    try {
      const { groups } = await link.ask('resume', { positions: Object.fromEntries(positions) });
      const answers = fieldsOf(groups) ?? {};
      return new Map(
        [...positions].map(([groupId, after]) => [groupId, readAnswer(groupId, after, ownOf(answers, groupId))]),
      );
    } catch (cause) {
      const error = toClientError(cause);
      if (error.retryable) throw error;
      // On this connection it will not answer such questions; the API will.
      log.debug('the relay does not resume', { code: error.code });
      canResume = false;
      return new Map();
    }
  }

  /** One question at a time, for everybody who asks before it leaves. */
  function openBatch(link: RelayLink): Batch {
    const positions = new Map<string, Position>();
    const answers = lastBatch.then(async () => {
      if (batch === mine) batch = undefined;
      return resume(link, positions);
    });
    const mine = { positions, answers };
    lastBatch = answers.catch(() => undefined);
    return mine;
  }

  function rejoinLater(): void {
    rejoinTimer ??= clock.setTimeout(() => {
      rejoinTimer = undefined;
      refused.clear();
      joinMissing();
    }, REJOIN_MS);
  }

  /** Nobody tells of what happens in groups that are not live; the list says where they stand. */
  function lookLater(): void {
    lookTimer ??= clock.setTimeout(() => {
      lookTimer = undefined;
      if (!full) return;
      deps.onUnclear();
      lookLater();
    }, LOOK_AFTER_MS);
  }

  /** The next groups that this connection does not get live: as many as one question can be about. */
  function nextMissing(): [string, Position][] {
    const missing = Object.entries(inbox.positions()).filter(([id]) => !live.has(id) && !refused.has(id));
    return missing.slice(0, canResume ? GROUPS_PER_RESUME : 1);
  }

  async function join(link: RelayLink, groups: readonly [string, Position][]): Promise<Answers> {
    const [first] = groups;
    if (canResume || !first) return resume(link, new Map(groups));
    const [groupId, position] = first;
    return new Map([[groupId, readAnswer(groupId, position, await link.ask('join-group', { groupId, position }))]]);
  }

  /** One question after the other, and no faster than the relay wants: it counts the events of a connection. */
  async function joinAll(): Promise<void> {
    for (let groups = nextMissing(); groups.length > 0; groups = nextMissing()) {
      const link = deps.link();
      if (!link) return;
      try {
        const answers = await join(link, groups);
        if (deps.link() !== link) return;
        if (answers.size === 0) continue;
        for (const [groupId, after] of groups) joined(groupId, after, answers.get(groupId));
      } catch (cause) {
        if (deps.link() !== link) return;
        const error = toClientError(cause);
        log.debug('unable to join', { groups: groups.length, code: error.code });
        if (error.code === 'RATE_LIMITED') {
          await waits.wait(0, error.retryAfterMs ?? RATE_LIMIT_MS);
          continue;
        }
        for (const [groupId] of groups) notJoined(groupId, error.code);
        if (full) return;
      }
    }
  }

  function joined(groupId: string, after: Position, answer: Answer | undefined): void {
    if (answer?.kind === 'page') deps.deliver(groupId, inbox.page(groupId, after, answer.page), false);
    if (answer?.kind === 'page' && answer.page.more) deps.force(groupId, 'relay');
    // It is caught up with first, and asked for again afterwards if need be.
    if (!live.has(groupId)) refused.add(groupId);
    deps.check(groupId, 'now');
  }

  function notJoined(groupId: string, code: unknown): void {
    refused.add(groupId);
    if (code === 'NOT_A_MEMBER') deps.onUnclear();
    if (code !== 'GROUP_LIMIT') return rejoinLater();
    lookLater();
    if (full) return;
    log.warn(
      'this connection is in as many groups as the relay allows; the others are read from the API, once a minute',
      { groupId },
    );
    full = true;
  }

  function joinMissing(): void {
    if (joining || !greeted || !welcomed || full || !isLive) return;
    joining = true;
    joinAll()
      .catch((error: unknown) => log.error('joining failed', { error }))
      .finally(() => {
        joining = false;
      });
  }

  function forget(): void {
    clock.clearTimeout(greetingTimer);
    clock.clearTimeout(rejoinTimer);
    clock.clearTimeout(lookTimer);
    rejoinTimer = undefined;
    lookTimer = undefined;
    live.clear();
    refused.clear();
    unknown = new Set();
    greeted = false;
    isLive = true;
    welcomed = false;
    canResume = true;
    waits.skip();
    full = false;
  }

  return {
    get greeted() {
      return greeted;
    },
    get live() {
      return isLive;
    },
    handshake() {
      asked = Object.fromEntries(Object.entries(inbox.positions()).slice(0, GROUPS_PER_HANDSHAKE));
      return Object.keys(asked).length === 0 ? {} : { positions: asked };
    },
    opened: () => greetWithin(GREETING_MS),
    down: forget,
    onEvent(name, payload) {
      if (name === 'joined-groups') onJoined(payload);
      else if (name === 'resumed') onResumed(payload);
      else if (name === 'left-groups') onLeft(payload);
      else if (name === 'group-head') onHead(payload);
      else if (name === 'service-state') onServiceState(payload);
      else onGroupEvent(name, payload);
    },
    async askRelay(groupId, after) {
      const link = deps.link();
      if (!link && deps.isPolling()) return { kind: 'none' };
      if (!link)
        throw new ClientError('UNREACHABLE', 'unable to ask the relay; there is no connection', { retryable: true });
      if (!canResume || !isLive) return { kind: 'none' };
      if (!batch || batch.positions.size >= GROUPS_PER_RESUME) batch = openBatch(link);
      batch.positions.set(groupId, after);
      return (await batch.answers).get(groupId) ?? { kind: 'none' };
    },
    joinMissing,
    stop() {
      forget();
      waits.stop();
    },
  };
}
