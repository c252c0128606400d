import type { Position } from '@groupcast/shared';
import type { Answer } from './catch-up.ts';
import type { Clock, Logger } from './environment.ts';
import { ClientError, toClientError } from './errors.ts';
import type { Inbox } from './inbox.ts';
import { fieldsOf, parseEvent, parseHead, parseId, parseList, parsePosition } from './parse.ts';
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
  onTransient: (event: TransientEvent) => void;
  clock: Clock;
  log: Logger;
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
  stop: () => void;
}

/** The relay greets with `joined-groups`, and `resumed` right behind it if it recovers. This long at most, in milliseconds. */
const GREETING_MS = 5_000;
const REJOIN_MS = 30_000;
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
  let canResume = true;
  let joining = false;
  let full = false;
  let greetingTimer: unknown;
  let rejoinTimer: unknown;
  let batch: Batch | undefined;
  let lastBatch: Promise<unknown> = Promise.resolve();

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
    const named = parseList(fieldsOf(payload)?.['groups'], (item) => {
      const groupId = parseId(fieldsOf(item)?.['groupId']);
      return groupId === undefined ? undefined : { groupId, position: parsePosition(fieldsOf(item)?.['position']) };
    });
    for (const { groupId, position } of named) {
      live.add(groupId);
      refused.delete(groupId);
      standing(groupId, position);
      if (greeted) deps.check(groupId, 'now');
    }
    if (greeted) return;
    // A relay that recovers sends `resumed` in the same breath; one that does not is not waited for.
    if (Object.keys(asked).length === 0) greet();
    else greetWithin(deps.holdMs);
  }

  /** One group's answer to `join-group`, `resume` or the handshake, asked from `after`. */
  function readAnswer(groupId: string, after: Position | undefined, value: unknown): Answer {
    const fields = fieldsOf(value);
    const error = fieldsOf(fields?.['error']);
    if (!fields || error) {
      live.delete(groupId);
      refused.add(groupId);
      rejoinLater();
      if (error?.['code'] === 'NOT_A_MEMBER') deps.onUnclear();
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
      const after = asked[groupId];
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
    }
    deps.onUnclear();
  }

  function onHead(payload: unknown): void {
    const head = parseHead(payload);
    if (!head) return;
    const { groupId, epoch, seq, skipId } = head;
    if (skipId === undefined) inbox.head(groupId, { epoch, seq });
    else deps.deliver(groupId, inbox.skip(groupId, { epoch, seq }), true);
    deps.check(groupId);
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
      return new Map([...positions].map(([groupId, after]) => [groupId, readAnswer(groupId, after, answers[groupId])]));
    } catch (cause) {
      const error = toClientError(cause);
      if (error.code !== 'UNKNOWN_EVENT') throw error;
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

  /** One after the other: a relay counts the events of a connection. */
  async function joinAll(): Promise<void> {
    for (;;) {
      const link = deps.link();
      const missing = Object.entries(inbox.positions()).find(([id]) => !live.has(id) && !refused.has(id));
      if (!link || !missing) return;
      const [groupId, position] = missing;
      try {
        const answer = readAnswer(groupId, position, await link.ask('join-group', { groupId, position }));
        if (answer.kind === 'page') deps.deliver(groupId, inbox.page(groupId, position, answer.page), false);
        if (answer.kind === 'page' && answer.page.more) deps.force(groupId, 'relay');
        // It is caught up with first, and asked for again afterwards if need be.
        if (!live.has(groupId)) refused.add(groupId);
        deps.check(groupId, 'now');
      } catch (cause) {
        const error = toClientError(cause);
        log.debug('unable to join', { groupId, code: error.code });
        if (deps.link() !== link) return;
        refused.add(groupId);
        if (error.code === 'NOT_A_MEMBER') deps.onUnclear();
        if (error.code === 'GROUP_LIMIT') {
          log.warn('this connection is in as many groups as the relay allows; the others are not live', { groupId });
          full = true;
          return;
        }
        rejoinLater();
        if (error.retryAfterMs !== undefined) return;
      }
    }
  }

  function joinMissing(): void {
    if (joining || !greeted || full) return;
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
    rejoinTimer = undefined;
    live.clear();
    refused.clear();
    unknown = new Set();
    greeted = false;
    canResume = true;
    full = false;
  }

  return {
    get greeted() {
      return greeted;
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
      else onGroupEvent(name, payload);
    },
    async askRelay(groupId, after) {
      const link = deps.link();
      if (!link && deps.isPolling()) return { kind: 'none' };
      if (!link)
        throw new ClientError('UNREACHABLE', 'unable to ask the relay; there is no connection', { retryable: true });
      if (!canResume) return { kind: 'none' };
      if (!batch || batch.positions.size >= GROUPS_PER_RESUME) batch = openBatch(link);
      batch.positions.set(groupId, after);
      return (await batch.answers).get(groupId) ?? { kind: 'none' };
    },
    joinMissing,
    stop: forget,
  };
}
