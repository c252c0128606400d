import type { Position } from '@groupcast/shared';
import { fieldsOf, parseEvent, parseHead, parseId, parseList } from '../base/parse.ts';
import type { Delivery } from '../delivery.ts';
import type { Clock, Logger } from '../environment.ts';
import { unreachable } from '../errors.ts';
import type { Answer, CatchUp } from '../inbox/catch-up.ts';
import type { ConnectionStatus } from './connection-status.ts';
import { createLiveGroups } from './live-groups.ts';
import { parseAnswers, parseJoined } from './relay-payloads.ts';
import { createRelayQuestions } from './relay-questions.ts';

/** An event without a position (`typing`, `presence`, a publisher's own): shown live, never repeated, never recovered. */
export interface TransientEvent {
  event: string;
  payload: unknown;
}

export interface RelaySessionDeps {
  delivery: Pick<Delivery, 'head' | 'standsAt' | 'receive' | 'skip' | 'page' | 'leave' | 'lagOf' | 'positions'>;
  status: Pick<ConnectionStatus, 'link' | 'getSnapshot'>;
  /** How long `resumed` may come after `joined-groups`, in milliseconds. */
  holdMs: number;
  catchUp: Pick<CatchUp, 'check' | 'force'>;
  /** The relay names a group that nothing is known of yet, or disputes one. */
  onUnclear: () => void;
  /** The relay has said everything about the time before the connection. */
  onGreeted: () => void;
  /** The relay says that it delivers nothing at the moment, or that it does again. */
  onLive: (live: boolean) => void;
  onTransient: (event: TransientEvent) => void;
  clock: Clock;
  random: () => number;
  log: Logger;
}

/**
 * The protocol between this client and the relay, on one connection after another. The relay greets with `joined-groups` and, where
 * it recovers, with `resumed` behind it; until then it is not known what was missed. After the greeting come events and heads.
 */
export interface RelaySession {
  /** Answers the positions of all groups, for the handshake. */
  handshake: () => { positions?: Record<string, Position> };
  opened: () => void;
  down: () => void;
  onEvent: (name: string, payload: unknown) => void;
  askRelay: (groupId: string, after: Position) => Promise<Answer>;
  /** Asks to be let into the groups that this connection does not get live. */
  join: () => void;
  isGreeted: () => boolean;
  /** The relay has not said that it delivers nothing at the moment. */
  isLive: () => boolean;
  stop: () => void;
}

/** Longest time that the greeting of a relay is waited for, in milliseconds. */
const GREETING_MS = 5_000;
/** Most groups in a handshake; the others are joined afterwards. */
const GROUPS_PER_HANDSHAKE = 1_000;

export function createRelaySession(deps: RelaySessionDeps): RelaySession {
  const { delivery, status, catchUp, clock, log } = deps;
  /** The positions of the handshake. */
  let asked = new Map<string, Position>();
  /** Groups whose position the relay did not know when it greeted. */
  const unknown = new Set<string>();
  let greeted = false;
  /** The relay has said which groups this connection is in. */
  let welcomed = false;
  let isLive = true;
  let greetingTimer: unknown;
  function standing(groupId: string, position: Position | null | undefined): void {
    const isNew = delivery.lagOf(groupId) === 'unopened';
    if (position) delivery.standsAt(groupId, position);
    // Without a log the relay cannot tell what was missed; only the API can.
    else if (!isNew && greeted) catchUp.force(groupId, 'api');
    else if (!isNew) unknown.add(groupId);
    if (isNew) deps.onUnclear();
  }

  const questions = createRelayQuestions(log);
  const groups = createLiveGroups({
    delivery,
    status,
    questions,
    catchUp,
    mayJoin: () => greeted && welcomed && isLive,
    onHead: standing,
    onUnclear: deps.onUnclear,
    clock,
    random: deps.random,
    log,
  });

  function greetWithin(delayMs: number): void {
    clock.clearTimeout(greetingTimer);
    greetingTimer = clock.setTimeout(greet, delayMs);
  }

  function greet(): void {
    clock.clearTimeout(greetingTimer);
    if (greeted) return;
    greeted = true;
    for (const groupId of unknown) catchUp.force(groupId, 'api');
    unknown.clear();
    checkAll();
    deps.onGreeted();
  }

  function checkAll(): void {
    for (const groupId of Object.keys(delivery.positions())) catchUp.check(groupId, 'now');
  }

  function onJoined(payload: unknown): void {
    welcomed = true;
    const { groups: joined, undecided } = parseJoined(payload);
    if (undecided.length > 0) {
      log.warn('the relay cannot ask its API about these groups yet; they are not live', {
        groups: undecided.join(' '),
      });
      // It joins them by itself, and is asked again in a while.
      for (const groupId of undecided) groups.refuse(groupId, 'API_UNAVAILABLE');
    }
    for (const { groupId, position } of joined) {
      groups.add(groupId);
      standing(groupId, position);
      if (greeted) catchUp.check(groupId, 'now');
    }
    // A relay that recovers sends `resumed` in the same breath; one that does not is not waited for.
    if (greeted) deps.onGreeted();
    else if (asked.size === 0) greet();
    else greetWithin(deps.holdMs);
  }

  function onResumed(payload: unknown): void {
    for (const [groupId, said] of parseAnswers(fieldsOf(payload)?.['groups'])) {
      const after = asked.get(groupId);
      const answer = groups.take(groupId, after, said);
      if (answer.kind !== 'page' || !after) continue;
      unknown.delete(groupId);
      delivery.page(groupId, after, answer.page, 'recovered');
      if (answer.page.more) catchUp.force(groupId, 'relay');
    }
    greet();
  }

  function onLeft(payload: unknown): void {
    const { groups: left, reason } = fieldsOf(payload) ?? {};
    for (const groupId of parseList(left, parseId)) {
      groups.remove(groupId);
      if (reason === 'member-removed') delivery.leave(groupId);
      else {
        if (reason === 'group-limit') groups.refuse(groupId, 'GROUP_LIMIT');
        deps.onUnclear();
      }
    }
    if (reason === 'member-removed') groups.makeRoom();
  }

  function onHead(payload: unknown): void {
    const head = parseHead(payload);
    if (!head) return;
    const { groupId, epoch, seq, skipId } = head;
    if (skipId === undefined) delivery.head(groupId, { epoch, seq });
    else delivery.skip(groupId, { epoch, seq });
    catchUp.check(groupId);
  }

  /** A relay that is cut off from the others answers nothing about groups either: only the API can say what happens in them. */
  function onServiceState(payload: unknown): void {
    const now = fieldsOf(payload)?.['live'];
    if (typeof now !== 'boolean' || now === isLive) return;
    isLive = now;
    deps.onLive(isLive);
    if (!isLive) return;
    checkAll();
    groups.retry();
  }

  function onGroupEvent(name: string, payload: unknown): void {
    const event = parseEvent(payload, name);
    if (!event) return deps.onTransient({ event: name, payload });
    delivery.receive(event);
    if (delivery.lagOf(event.groupId) === 'unopened') deps.onUnclear();
    catchUp.check(event.groupId);
  }

  function onEvent(name: string, payload: unknown): void {
    switch (name) {
      case 'joined-groups':
        return onJoined(payload);
      case 'resumed':
        return onResumed(payload);
      case 'left-groups':
        return onLeft(payload);
      case 'group-head':
        return onHead(payload);
      case 'service-state':
        return onServiceState(payload);
      default:
        return onGroupEvent(name, payload);
    }
  }

  function reset(): void {
    clock.clearTimeout(greetingTimer);
    unknown.clear();
    greeted = false;
    isLive = true;
    welcomed = false;
    questions.reset();
    groups.reset();
  }

  return {
    isGreeted: () => greeted,
    isLive: () => isLive,
    handshake() {
      asked = new Map(Object.entries(delivery.positions()).slice(0, GROUPS_PER_HANDSHAKE));
      return asked.size === 0 ? {} : { positions: Object.fromEntries(asked) };
    },
    opened: () => greetWithin(GREETING_MS),
    down: reset,
    onEvent,
    async askRelay(groupId, after) {
      const { link } = status;
      // While the API stands in for the relay, it is asked at once; otherwise the relay is waited for.
      if (!link && status.getSnapshot().state === 'degraded-polling') return { kind: 'none' };
      if (!link) throw unreachable('unable to ask the relay; there is no connection');
      if (!questions.canResume || !isLive) return { kind: 'none' };
      const answer = await questions.ask(link, groupId, after);
      if (!answer) return { kind: 'none' };
      const taken = groups.take(groupId, after, answer);
      if (taken.kind === 'page') unknown.delete(groupId);
      return taken;
    },
    join: groups.join,
    stop() {
      reset();
      groups.stop();
    },
  };
}
