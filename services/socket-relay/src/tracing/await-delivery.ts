import {
  type AbsentState,
  type AwaitDelivery,
  type Delivery as DeliveryAnswer,
  type RecipientState,
  type TraceRecipient,
  type WaitFor,
} from '@groupcast/shared';
import type { Heartbeat } from '../engine/heartbeat.ts';
import { type Deliveries, eventNameOf } from '../fan-out/deliveries.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { OtherNodes } from '../nodes/node-requests.ts';
import type { ConnectionIndex } from '../sessions/connection-index.ts';
import type { UserSocket } from '../sessions/session.ts';
import type { EventQuestion, NodeDeliveryQuestion } from '../wire-format.ts';
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
/** How often connections are looked at that the event has not been written to yet, in milliseconds. */
const LOOK_MS = 20;
/** Questions that are waited for at the same time on a node. More are answered at once, with what is known. */
const MAX_AT_ONCE = 1_000;

const HAS: Readonly<Record<WaitFor, ReadonlySet<RecipientState>>> = {
  proven: new Set(['proven']),
  written: new Set(['proven', 'written']),
};
/** Those who are in the group, and may have the event in a moment. */
const ON_THE_WAY: ReadonlySet<RecipientState> = new Set(['written', 'pending', 'slow-consumer']);

export function createDeliveryWaits(deps: {
  deliveries: Deliveries;
  nodeTraces: NodeTraces;
  stateOf: StateOf;
  connections: Pick<ConnectionIndex, 'ofUser'>;
  heartbeat: Pick<Heartbeat, 'prove'>;
  otherNodes: OtherNodes;
  metrics: Pick<RelayMetrics, 'absent'>;
}): DeliveryWaits {
  const { deliveries, nodeTraces, stateOf, connections, heartbeat, otherNodes } = deps;
  let waits = 0;

  /** Resolves once the event has come to this node, if it does within the time. */
  async function arrival(question: EventQuestion, deadline: Promise<void>): Promise<void> {
    const { groupId } = question;
    const name = eventNameOf(question);
    if (deliveries.find(groupId, name)) return;
    let stop = (): void => undefined;
    const arrived = new Promise<void>((resolve) => {
      stop = deliveries.watch(groupId, () => {
        if (deliveries.find(groupId, name)) resolve();
      });
    });
    await Promise.race([arrived, deadline]);
    stop();
  }

  /** Resolves once the event has got as far as asked for each user that is in the group on this node. */
  async function reached(
    { userIds, waitFor, ...question }: NodeDeliveryQuestion,
    deadline: Promise<void>,
    isOver: () => boolean,
  ): Promise<void> {
    const subject = nodeTraces.subjectOf(question.groupId, eventNameOf(question));
    /** The connections of each user on which the event may still arrive. */
    const open = new Map<string, Set<UserSocket>>();
    for (const userId of userIds) {
      const sockets = connections.ofUser(userId);
      const states = sockets.map((socket) => ({ socket, ...stateOf(socket, subject) }));
      if (states.some(({ state }) => HAS[waitFor].has(state))) continue;
      const onTheWay = states.filter(({ state }) => ON_THE_WAY.has(state)).map(({ socket }) => socket);
      if (onTheWay.length > 0) open.set(userId, new Set(onTheWay));
    }
    if (open.size === 0) return;
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });

    function look(userId: string, socket: UserSocket, current: Subject): void {
      const sockets = open.get(userId);
      const { state } = stateOf(socket, current);
      if (!sockets || isOver()) return;
      if (HAS[waitFor].has(state)) open.delete(userId);
      else if (!socket.connected || !ON_THE_WAY.has(state)) {
        sockets.delete(socket);
        if (sockets.size === 0) open.delete(userId);
      }
      if (open.size === 0) finish();
    }

    function lookAtAll(): void {
      for (const [userId, sockets] of open) for (const socket of sockets) look(userId, socket, subject);
    }

    // The next turn: what was handed over in this one has been written by then.
    const timer = setInterval(lookAtAll, LOOK_MS);
    if (waitFor === 'proven') {
      for (const [userId, sockets] of open) {
        for (const socket of sockets) heartbeat.prove(socket, () => look(userId, socket, subject));
      }
    } else setImmediate(lookAtAll);
    await Promise.race([finished, deadline]);
    clearInterval(timer);
  }

  async function waitHere(question: NodeDeliveryQuestion): Promise<{ users: TraceRecipient[] }> {
    if (waits < MAX_AT_ONCE) {
      waits += 1;
      let isOver = false;
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          isOver = true;
          resolve();
        }, question.withinMs);
      });
      try {
        await arrival(question, deadline);
        if (!isOver) await reached(question, deadline, () => isOver);
      } finally {
        clearTimeout(timer);
        waits -= 1;
      }
    }
    const subject = nodeTraces.subjectOf(question.groupId, eventNameOf(question));
    const users = question.userIds.map((userId) => nodeTraces.stateOf(userId, subject));
    return { users: users.filter((each) => each !== undefined) };
  }

  otherNodes.answer('delivery', waitHere);

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
        waitHere(question),
        askOthers(otherNodes, 'delivery', { payload: question, withinMs: withinMs + ANSWERS_LATE_MS }),
      ]);
      const users = new Map<string, TraceRecipient>();
      for (const each of [here, ...answers].flatMap((answer) => answer.users)) {
        const known = users.get(each.userId);
        users.set(each.userId, known ? furthestOf(known, each) : each);
      }
      return answerOf(userIds, users, { waitFor, missing });
    },
  };
}
