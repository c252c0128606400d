import {
  type AbsentState,
  type AwaitDelivery,
  type Delivery as DeliveryAnswer,
  type RecipientState,
  type TraceRecipient,
  type WaitFor,
} from '@groupcast/shared';
import type { Heartbeat } from '../engine/heartbeat.ts';
import { type Deliveries, eventNameOf, isNamed } from '../fan-out/deliveries.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { OtherNodes } from '../nodes/node-requests.ts';
import type { ConnectionIndex } from '../sessions/connection-index.ts';
import type { UserSocket } from '../sessions/session.ts';
import type { NodeDeliveryQuestion, NodeRecipient } from '../wire-format.ts';
import { askOthers } from './all-nodes.ts';
import type { StateOf, Subject } from './connection-state.ts';
import { furthestOf, type NodeTraces } from './node-trace.ts';

/** Tells a publisher whom an event has reached. A publisher that does not ask costs nothing. */
export interface DeliveryWaits {
  /** Resolves once everybody who is connected has got the event, or `withinMs` later. Users that appear twice are answered once. */
  await(question: AwaitDelivery): Promise<DeliveryAnswer>;
}

/** How much longer than asked the answers of other nodes may take, in milliseconds. */
const ANSWERS_LATE_MS = 500;
/** How often it is looked whether connections have gone, or have been written to where that is asked for, in milliseconds. */
const LOOK_MS = 100;
/** Questions, and connections of theirs, that are waited for at the same time on a node. More are answered at once, with what is known. */
const MAX_AT_ONCE = 1_000;
const MAX_CONNECTIONS = 100_000;

const HAS: Readonly<Record<WaitFor, ReadonlySet<RecipientState>>> = {
  proven: new Set(['proven']),
  written: new Set(['proven', 'written']),
};
/** Those who are in the group, and may have the event in a moment. */
const ON_THE_WAY: ReadonlySet<RecipientState> = new Set(['written', 'pending', 'slow-consumer']);

/** The time that a question has. */
interface Deadline {
  isOver: boolean;
  over: Promise<void>;
}

export function createDeliveryWaits(deps: {
  deliveries: Deliveries;
  nodeTraces: NodeTraces;
  stateOf: StateOf;
  connections: Pick<ConnectionIndex, 'ofUser'>;
  heartbeat: Pick<Heartbeat, 'prove'>;
  otherNodes: OtherNodes;
  metrics: Pick<RelayMetrics, 'absent' | 'hopLag'>;
}): DeliveryWaits {
  const { deliveries, nodeTraces, stateOf, connections, heartbeat, otherNodes } = deps;
  let questions = 0;
  let waiting = 0;

  /** Resolves once the event has come to this node, if it does within the time. Without anybody here who would get it, it never comes. */
  async function arrival({ userIds, ...question }: NodeDeliveryQuestion, deadline: Deadline): Promise<void> {
    const { groupId } = question;
    const { delivery, missing } = nodeTraces.subjectOf(question);
    const isHere = (userId: string): boolean =>
      connections.ofUser(userId).some(({ data }) => data.session.groups.has(groupId));
    if (delivery || missing?.hasPassed || !userIds.some(isHere)) return;
    const name = eventNameOf(question);
    let stop = (): void => undefined;
    const arrived = new Promise<void>((resolve) => {
      stop = deliveries.watch(groupId, (each) => {
        if (isNamed(each, name)) resolve();
      });
    });
    await Promise.race([arrived, deadline.over]);
    stop();
  }

  /** The connections of each user on which the event may still arrive; users who have it go into `got`. */
  function openOf(
    { userIds, waitFor }: NodeDeliveryQuestion,
    subject: Subject,
    got: Map<string, NodeRecipient>,
  ): Map<string, Set<UserSocket>> {
    const open = new Map<string, Set<UserSocket>>();
    for (const userId of userIds) {
      const states = connections.ofUser(userId).map((socket) => ({ socket, ...stateOf(socket, subject) }));
      const has = states.find(({ state }) => HAS[waitFor].has(state));
      const onTheWay = states.filter(({ state }) => ON_THE_WAY.has(state)).map(({ socket }) => socket);
      if (has) got.set(userId, { userId, state: has.state, why: has.why });
      else if (onTheWay.length > 0) open.set(userId, new Set(onTheWay));
    }
    return open;
  }

  /** Resolves once the event has got as far as asked for each user that is in the group on this node, with those. */
  async function reached(question: NodeDeliveryQuestion, deadline: Deadline): Promise<Map<string, NodeRecipient>> {
    const { waitFor } = question;
    const subject = nodeTraces.subjectOf(question);
    const got = new Map<string, NodeRecipient>();
    const open = openOf(question, subject, got);
    let sockets = 0;
    for (const each of open.values()) sockets += each.size;
    if (sockets === 0 || waiting + sockets > MAX_CONNECTIONS) return got;
    /** Connections that have answered, and to which the event was not written before. */
    const again = new Map<UserSocket, string>();
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });

    function look(userId: string, socket: UserSocket): void {
      const those = open.get(userId);
      if (!those || deadline.isOver) return;
      const { state, why } = stateOf(socket, subject);
      if (HAS[waitFor].has(state)) {
        // It stays read if the page is left a moment later.
        got.set(userId, { userId, state, why });
        open.delete(userId);
      } else if (!socket.connected || !ON_THE_WAY.has(state)) {
        those.delete(socket);
        if (those.size === 0) open.delete(userId);
      } else if (waitFor === 'proven') again.set(socket, userId);
      if (open.size === 0) finish();
    }

    function prove(userId: string, socket: UserSocket): void {
      const askedAt = performance.now();
      heartbeat.prove(socket, () => {
        deps.metrics.hopLag.observe({ hop: 'proven' }, (performance.now() - askedAt) / 1_000);
        look(userId, socket);
      });
    }

    function lookAround(): void {
      for (const [socket, userId] of again) prove(userId, socket);
      again.clear();
      for (const [userId, those] of open) {
        for (const socket of those) if (waitFor === 'written' || !socket.connected) look(userId, socket);
      }
    }

    waiting += sockets;
    const timer = setInterval(lookAround, LOOK_MS);
    // The next turn: what was handed over in this one has been written by then.
    if (waitFor === 'written') setImmediate(lookAround);
    else for (const [userId, those] of open) for (const socket of those) prove(userId, socket);
    await Promise.race([finished, deadline.over]);
    clearInterval(timer);
    waiting -= sockets;
    return got;
  }

  async function waitThrough(question: NodeDeliveryQuestion): Promise<Map<string, NodeRecipient>> {
    if (questions >= MAX_AT_ONCE) return new Map();
    questions += 1;
    let timer: NodeJS.Timeout | undefined;
    const deadline: Deadline = {
      isOver: false,
      over: new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          deadline.isOver = true;
          resolve();
        }, question.withinMs);
      }),
    };
    try {
      await arrival(question, deadline);
      return await reached(question, deadline);
    } finally {
      clearTimeout(timer);
      questions -= 1;
    }
  }

  async function answerHere(question: NodeDeliveryQuestion): Promise<{ users: NodeRecipient[] }> {
    const got = await waitThrough(question);
    const subject = nodeTraces.subjectOf(question);
    const users = question.userIds.flatMap((userId): NodeRecipient[] => {
      const known = got.get(userId) ?? nodeTraces.stateOf(userId, subject);
      if (!known) return [];
      // The answer of a node is one message: it has no more than is told on.
      const { state, code, at, isGone } = known;
      return [
        { userId, state, why: '', ...(code ? { code } : {}), ...(isGone ? { isGone, ...(at ? { at } : {}) } : {}) },
      ];
    });
    return { users };
  }

  otherNodes.answer('delivery', answerHere);

  function answerOf(
    userIds: readonly string[],
    users: ReadonlyMap<string, TraceRecipient>,
    { waitFor, missing }: { waitFor: WaitFor; missing: readonly string[] },
  ): DeliveryAnswer {
    const answer: DeliveryAnswer = {
      proven: [],
      ...(waitFor === 'written' ? { written: [] } : {}),
      pending: [],
      absent: [],
    };
    for (const userId of userIds) {
      const known = users.get(userId);
      const state = known?.state ?? (missing.length > 0 ? 'node-unreachable' : 'offline');
      if (state === 'proven') answer.proven.push(userId);
      else if (state === 'written' && answer.written) answer.written.push(userId);
      else if (state === 'written' || state === 'pending') answer.pending.push(userId);
      else {
        const why = state as AbsentState;
        deps.metrics.absent.inc({ why });
        answer.absent.push({ userId, why, ...(known?.code === undefined ? {} : { code: known.code }) });
      }
    }
    return answer;
  }

  return {
    async await({ expectedUserIds, waitFor, withinMs, groupId, id, seq, epoch }) {
      const userIds = [...new Set(expectedUserIds)];
      const question = { groupId, id, seq, epoch, userIds, waitFor, withinMs };
      const [here, { answers, missing }] = await Promise.all([
        answerHere(question),
        askOthers(otherNodes, 'delivery', { payload: question, withinMs: withinMs + ANSWERS_LATE_MS }),
      ]);
      const users = new Map<string, NodeRecipient>();
      for (const each of [here, ...answers].flatMap((answer) => answer.users)) {
        const known = users.get(each.userId);
        users.set(each.userId, known ? furthestOf(known, each) : each);
      }
      return answerOf(userIds, users, { waitFor, missing });
    },
  };
}
