import { groupRoom, type Position, type RecipientState, relationOf } from '@groupcast/shared';
import type { Heartbeat } from '../engine/heartbeat.ts';
import { type Deliveries, eventNameOf } from '../fan-out/deliveries.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { UndecidedClaims } from '../membership/undecided-claims.ts';
import type { Presence } from '../presence/presence.ts';
import type { ConnectionIndex } from '../sessions/connection-index.ts';
import type { Departures } from '../sessions/departures.ts';
import type { RelayServer } from '../sessions/session.ts';
import type { EventQuestion, NodeRecipient, NodeTrace, NodeTraceQuestion } from '../wire-format.ts';
import type { StateOf, Subject } from './connection-state.ts';

const iso = (at: number): string => new Date(at).toISOString();

/** From the furthest to the least. */
const FURTHEST: readonly RecipientState[] = [
  'proven',
  'written',
  'pending',
  'slow-consumer',
  'undecided',
  'connected-not-joined',
  'token-expired',
  'refused',
  'offline',
];

/** Chooses between two things that are known of a user: one that is here counts before one that is gone, and of those the newest. */
export function furthestOf(a: NodeRecipient, b: NodeRecipient): NodeRecipient {
  if (a.isGone !== b.isGone) return a.isGone ? b : a;
  if (a.isGone) return (a.at ?? '') >= (b.at ?? '') ? a : b;
  return FURTHEST.indexOf(b.state) < FURTHEST.indexOf(a.state) ? b : a;
}

/** Kinds of refusals that are told of, the newest. */
const MAX_REFUSALS = 8;
/** How long clients may take to answer a ping that a trace sends, in milliseconds. */
const ASK_MS = 750;

/** Says how far an event is on this node, for its users. */
export interface NodeTraces {
  /** Pings the clients that the event was written to, and does not wait for the next beat. */
  trace(question: NodeTraceQuestion): Promise<NodeTrace>;
  /** Returns the state of one user, if it has connections here, or if it is known why it has none. */
  stateOf(userId: string, subject: Subject): NodeRecipient | undefined;
  subjectOf(question: EventQuestion): Subject;
}

export function createNodeTraces(deps: {
  node: string;
  io: RelayServer;
  fanOut: Pick<FanOut, 'cursor'>;
  deliveries: Deliveries;
  presence: Pick<Presence, 'usersHere'>;
  connections: Pick<ConnectionIndex, 'ofUser'>;
  departures: Departures;
  undecided: Pick<UndecidedClaims, 'usersOf'>;
  heartbeat: Pick<Heartbeat, 'prove'>;
  stateOf: StateOf;
}): NodeTraces {
  const { node, fanOut, deliveries, presence, connections, departures, undecided, heartbeat } = deps;
  const { adapter } = deps.io.of('/');

  /** Says why this node does not have the event, by where the group stands here. */
  function missingHere(groupId: string, position: Position | undefined): Subject['missing'] {
    const cursor: Position | null = fanOut.cursor(groupId);
    if (cursor && position && hasPassed(cursor, position)) {
      // A node hands nothing over, and numbers nothing, as long as nobody is in the group.
      const why = `it came later, or relay ${node} handed the event over too long ago for its memory`;
      return { hasPassed: true, isBefore: deliveries.isWhole(), why };
    }
    const stands = cursor ? `; the group stands at ${cursor.seq} there` : '';
    const why = `the event has not come to relay ${node}, to which this user is connected${stands}`;
    return { hasPassed: false, isBefore: false, why };
  }

  function subjectOf(question: EventQuestion): Subject {
    const { groupId, seq } = question;
    const delivery = deliveries.find(groupId, eventNameOf(question));
    const epoch = question.epoch ?? fanOut.cursor(groupId)?.epoch;
    const asked = seq === undefined || epoch === undefined ? undefined : { epoch, seq };
    const position = delivery?.position ?? asked;
    return { groupId, position, delivery, missing: delivery ? undefined : missingHere(groupId, position) };
  }

  /** The state of a user who had read the event before its connection went; a page that was loaded anew has a new one. */
  function readBefore(userId: string, { groupId, delivery }: Subject): NodeRecipient | undefined {
    const gone = departures.of(userId);
    const since = gone?.groups.get(groupId);
    if (!gone || !delivery || since === undefined || delivery.number <= since) return undefined;
    if (delivery.number > gone.provenUpTo || delivery.except.exceptUserId === userId) return undefined;
    const why = 'its client had answered a ping that was written behind the event, before that connection went';
    return { userId, state: 'proven', why, at: iso(delivery.at), node };
  }

  function stateOf(userId: string, subject: Subject): NodeRecipient | undefined {
    const states = connections.ofUser(userId).map((socket): NodeRecipient => {
      const { at, ...state } = deps.stateOf(socket, subject);
      return { userId, ...state, ...(at === undefined ? {} : { at: iso(at) }), node, socketId: socket.id };
    });
    const before = readBefore(userId, subject);
    const [first, ...others] = before ? [before, ...states] : states;
    if (!first) return lastOf(userId);
    const best = others.reduce(furthestOf, first);
    const kept = best.state === 'connected-not-joined' ? departures.keptOutOf(userId, subject.groupId) : undefined;
    if (!kept) return best;
    const { code, message } = kept;
    const why = `it is connected, and was not let into the group: ${message}`;
    const fix = 'see whether the API counts the user among the members of the group';
    return { ...best, state: 'refused', code, why, fix };
  }

  /** The last that is known of a user without a connection here. */
  function lastOf(userId: string): NodeRecipient | undefined {
    const gone = departures.of(userId);
    if (!gone) return undefined;
    const { at, state, why, code, socketId } = gone;
    const named = { ...(code === undefined ? {} : { code }), ...(socketId === undefined ? {} : { socketId }) };
    return { userId, state, why, at: iso(at), node, ...named, ...fixFor(state), isGone: true };
  }

  function fixFor(state: RecipientState): { fix?: string } {
    switch (state) {
      case 'token-expired':
        return {
          fix: 'let the page fetch a new token before it connects again (auth as a function), or send refresh-token',
        };
      case 'refused':
        return { fix: 'look up the code in docs/reference/errors.md: it says what the page has to do' };
      default:
        return {};
    }
  }

  /** Resolves once all clients that the event was written to have answered a ping, or a moment later. */
  async function ask(userIds: readonly string[], subject: Subject): Promise<void> {
    const sockets = userIds.flatMap((userId) => connections.ofUser(userId));
    const unproven = sockets.filter((socket) => deps.stateOf(socket, subject).state === 'written');
    if (unproven.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ASK_MS);
    });
    const answers = unproven.map(async (socket) => new Promise<void>((done) => heartbeat.prove(socket, done)));
    await Promise.race([Promise.all(answers), late]);
    clearTimeout(timer);
  }

  return {
    stateOf,
    subjectOf,
    async trace({ userIds, after, limit, ...event }) {
      const { groupId } = event;
      const subject = subjectOf(event);
      const { delivery } = subject;
      const here = presence.usersHere(groupId);
      const known =
        userIds ??
        [...new Set([...here, ...undecided.usersOf(groupId), ...departures.fromGroup(groupId)])]
          .filter((userId) => delivery?.except.exceptUserId !== userId)
          .toSorted();
      const asked = after === undefined ? known : known.filter((userId) => userId > after);
      const page = asked.slice(0, limit);
      await ask(page, subject);
      const cursor = fanOut.cursor(groupId);
      return {
        node,
        members: adapter.rooms.get(groupRoom(groupId))?.size ?? 0,
        cursor,
        ...(delivery
          ? { arrivedAt: delivery.at, id: delivery.id, event: delivery.event, position: delivery.position }
          : {}),
        refused: departures.unknown().slice(0, MAX_REFUSALS),
        recipients: page.map((userId) => stateOf(userId, subject)).filter((each) => each !== undefined),
        more: asked.length > page.length,
      };
    },
  };
}

/** Whether an event at this position has gone by on a node whose cursor is this. */
export function hasPassed(cursor: Position | null, position: Position): boolean {
  if (!cursor) return false;
  const relation = relationOf(cursor, position);
  return relation === 'behind' || relation === 'older';
}
