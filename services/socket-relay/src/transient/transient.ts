import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { groupRoom } from '@groupcast/shared';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import { cutOff } from '../nodes/broker-errors.ts';
import type { RelayServer } from '../sessions/session.ts';
import type { Carrier } from './carrier.ts';
import { isMessageName, MESSAGES, type MessageName, type MessageOf } from './messages.ts';

/**
 * Brings transient messages of a group to the nodes that have members of it, and to this one first, without waiting for any other. None
 * is kept, none is sent twice, and none of them holds up or changes anything that has a position (ADR 14). Each node decides by itself
 * which of its connections may see it; a node without a lease sends and shows nothing, since somebody may be removed without its knowledge.
 */
export interface Transient {
  /** Never throws, and never waits. */
  tell<Name extends MessageName>(name: Name, payload: MessageOf<Name>): void;
  /**
   * Does the same, and resolves with the sum of the numbers that the handlers of all nodes return, of those that answer within a second.
   * Throws `BROKER_UNAVAILABLE` on a node without a lease.
   */
  ask<Name extends MessageName>(name: Name, payload: MessageOf<Name>): Promise<number>;
  /** Handles a message of this node or another. Returns how many connections of this node it has reached. */
  on<Name extends MessageName>(name: Name, handler: (payload: MessageOf<Name>) => number): void;
  stop(): void;
}

/** How long another node may take to answer, in milliseconds. */
const ANSWER_WITHIN_MS = 1_000;
/** Most questions that wait for answers at once. More are answered without the other nodes. */
const MAX_QUESTIONS = 10_000;
const GROUP_PREFIX = groupRoom('');
const ANSWER = 'answer';

/** Where an answer goes: the node, and its number for the question. */
interface ReturnAddress {
  from: string;
  id: number;
}

interface Question {
  answered: Set<string>;
  sum: number;
  /** How many nodes will answer; unknown until the question has been sent. */
  expected: number;
  done: () => void;
}

function isReturnAddress(value: unknown): value is ReturnAddress {
  const { from, id } = (value ?? {}) as Partial<ReturnAddress>;
  return typeof from === 'string' && from.length <= 512 && Number.isSafeInteger(id);
}

/** Without a carrier there is no other node. */
export function createTransient(deps: {
  io: RelayServer;
  node: string;
  carrier: Carrier | undefined;
  isTrusted: () => boolean;
  metrics: Pick<RelayMetrics, 'transientEvents'>;
  log: Logger;
}): Transient {
  const { io, node, carrier, isTrusted, metrics, log } = deps;
  const handlers = new Map<MessageName, (payload: never) => number>();
  const questions = new Map<number, Question>();
  const warn = warnOnceEvery(60_000);
  let lastId = 0;

  /** A handler that fails for one message fails for no other part of the relay. */
  function handle(name: MessageName, payload: unknown): number {
    try {
      return handlers.get(name)?.(payload as never) ?? 0;
    } catch (error) {
      warn(name, (suppressed) =>
        log.error({ err: error, event: name, suppressed }, 'unable to show a transient event'),
      );
      return 0;
    }
  }

  /** Throws on anything that no relay has sent. */
  function receive(room: string, [name, payload, returnTo]: readonly unknown[]): void {
    if (name === ANSWER) {
      settle(payload);
      return;
    }
    // A relay of a later version may have more to say.
    if (!isMessageName(name)) return;
    const message = MESSAGES[name].parse(payload);
    if (groupRoom(message.groupId) !== room) throw new Error('a message of another group');
    metrics.transientEvents.inc({ event: name, way: 'received' });
    const reached = isTrusted() ? handle(name, message) : 0;
    if (isReturnAddress(returnTo))
      void carrier?.send(returnTo.from, [ANSWER, { id: returnTo.id, from: node, reached }]);
  }

  function settle(payload: unknown): void {
    const { id, from, reached } = (payload ?? {}) as Record<string, unknown>;
    const question = typeof id === 'number' ? questions.get(id) : undefined;
    if (!question || typeof from !== 'string' || typeof reached !== 'number' || !(reached >= 0)) return;
    if (question.answered.has(from)) return;
    question.answered.add(from);
    question.sum += reached;
    if (question.answered.size >= question.expected) question.done();
  }

  /** Resolves with the sum of the answers of other nodes. */
  async function askOthers(through: Carrier, room: string, message: readonly unknown[]): Promise<number> {
    if (questions.size >= MAX_QUESTIONS) {
      void through.send(room, message);
      return 0;
    }
    lastId += 1;
    const id = lastId;
    let timer: NodeJS.Timeout | undefined;
    const question: Question = {
      answered: new Set(),
      sum: 0,
      expected: Number.POSITIVE_INFINITY,
      done: () => undefined,
    };
    questions.set(id, question);
    const answered = new Promise<void>((resolve) => {
      question.done = resolve;
      timer = setTimeout(resolve, ANSWER_WITHIN_MS);
    });
    const sent = through.send(room, [...message, { from: node, id } satisfies ReturnAddress]).then((nodes) => {
      question.expected = io.of('/').adapter.rooms.has(room) ? nodes - 1 : nodes;
      if (question.answered.size >= question.expected) question.done();
    });
    await answered;
    clearTimeout(timer);
    questions.delete(id);
    void sent;
    return question.sum;
  }

  if (carrier) {
    const { adapter } = io.of('/');
    carrier.onMessage(receive);
    adapter.on('create-room', (room: string) => {
      if (room.startsWith(GROUP_PREFIX)) carrier.want(room);
    });
    adapter.on('delete-room', (room: string) => {
      if (room.startsWith(GROUP_PREFIX)) carrier.unwant(room);
    });
  }

  return {
    tell(name, payload) {
      if (!isTrusted()) return;
      metrics.transientEvents.inc({ event: name, way: 'sent' });
      handle(name, payload);
      void carrier?.send(groupRoom(payload.groupId), [name, payload]);
    },
    async ask(name, payload) {
      if (!isTrusted()) throw cutOff(`send "${name}"`);
      metrics.transientEvents.inc({ event: name, way: 'sent' });
      const here = handle(name, payload);
      return here + (carrier ? await askOthers(carrier, groupRoom(payload.groupId), [name, payload]) : 0);
    },
    on(name, handler) {
      handlers.set(name, handler);
    },
    stop() {
      for (const { done } of questions.values()) done();
      carrier?.stop();
    },
  };
}
