import {
  groupRoom,
  type Position,
  type RecipientState,
  relationOf,
  type TraceRecipient,
  userRoom,
} from '@groupcast/shared';
import type { Heartbeat } from '../engine/heartbeat.ts';
import { type Deliveries, type Delivery, type EventName, eventNameOf } from '../fan-out/deliveries.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { UndecidedClaims } from '../membership/undecided-claims.ts';
import type { Presence } from '../presence/presence.ts';
import type { ConnectionIndex } from '../sessions/connection-index.ts';
import type { Departures } from '../sessions/departures.ts';
import type { RelayServer } from '../sessions/session.ts';
import type { NodeTrace, NodeTraceQuestion } from '../wire-format.ts';
import type { StateOf, Subject } from './connection-state.ts';

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

export function furthestOf<T extends { state: RecipientState }>(a: T, b: T): T {
  return FURTHEST.indexOf(b.state) < FURTHEST.indexOf(a.state) ? b : a;
}

/** How long clients may take to answer a ping that a trace sends, in milliseconds. */
const ASK_MS = 750;

/** Says how far an event is on this node, for its users. */
export interface NodeTraces {
  /** Pings the clients that the event was written to, and does not wait for the next beat. */
  trace(question: NodeTraceQuestion): Promise<NodeTrace>;
  /** Returns the state of one user, if it has connections here, or if it is known why it has none. */
  stateOf(userId: string, subject: Subject): TraceRecipient | undefined;
  subjectOf(groupId: string, name: EventName): Subject;
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

  function whyMissing(groupId: string, seq: number | undefined): string {
    const cursor: Position | null = fanOut.cursor(groupId);
    if (!cursor) return `the event has not come to relay ${node}, to which this user is connected`;
    const isPast = seq !== undefined && cursor.seq >= seq;
    return isPast
      ? `the event came to relay ${node} too long ago for its memory`
      : `the event has not come to relay ${node}, to which this user is connected; the group stands at ${cursor.seq} there`;
  }

  function subjectOf(groupId: string, name: EventName): Subject {
    const delivery = deliveries.find(groupId, name);
    const seq = delivery?.position?.seq ?? ('seq' in name ? name.seq : undefined);
    return { groupId, seq, delivery, missing: delivery ? '' : whyMissing(groupId, seq) };
  }

  function isExcepted({ except }: Delivery, userId: string): boolean {
    if (except.exceptUserId === userId) return true;
    const own = adapter.rooms.get(userRoom(userId));
    return except.exceptSocketId !== undefined && own?.has(except.exceptSocketId) === true && own.size === 1;
  }

  function stateOf(userId: string, subject: Subject): TraceRecipient | undefined {
    const { groupId } = subject;
    const states = connections.ofUser(userId).map((socket) => {
      const { at, ...state } = deps.stateOf(socket, subject);
      return {
        userId,
        ...state,
        ...(at === undefined ? {} : { at: new Date(at).toISOString() }),
        node,
        socketId: socket.id,
      };
    });
    const [first, ...others] = states;
    if (first) {
      const best = others.reduce(furthestOf, first);
      const kept = best.state === 'connected-not-joined' ? departures.keptOutOf(userId, groupId) : undefined;
      if (!kept) return best;
      const { code, message } = kept;
      const why = `it is connected, and was not let into the group: ${message}`;
      return {
        ...best,
        state: 'refused',
        code,
        why,
        fix: 'see whether the API counts the user among the members of the group',
      };
    }
    const gone = departures.of(userId);
    if (!gone) return undefined;
    const { at, state, why, code, socketId } = gone;
    const named = { ...(code === undefined ? {} : { code }), ...(socketId === undefined ? {} : { socketId }) };
    return { userId, state, why, at: new Date(at).toISOString(), node, ...named, ...fixFor(state) };
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
    async trace({ groupId, userIds, after, limit, ...event }) {
      const subject = subjectOf(groupId, eventNameOf(event));
      const { delivery } = subject;
      const here = presence.usersHere(groupId);
      const known =
        userIds ?? [...new Set([...here, ...undecided.usersOf(groupId), ...departures.fromGroup(groupId)])].toSorted();
      const rest = after === undefined ? known : known.filter((userId) => userId > after);
      const asked = rest.filter((userId) => !delivery || !isExcepted(delivery, userId));
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
        refused: departures.unknown().slice(0, 5),
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
