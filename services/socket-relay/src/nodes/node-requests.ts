import type { Logger } from '@groupcast/service-kit';
import {
  decodeReply,
  decodeRequest,
  encodeMessage,
  type NodeQuestion,
  type NodeQuestions,
  REQUEST_CHANNEL,
  type ReplyMessage,
  type RequestMessage,
  replyChannel,
} from '../wire-format.ts';
import { brokerUnavailable } from './broker-errors.ts';
import type { ShardChannels } from './channels.ts';
import type { NodeLeases } from './node-leases.ts';

/** Asks every other relay a question, and waits for all answers. */
export interface NodeRequests {
  /**
   * Returns one answer per other node that has a lease. Rejects with `BROKER_UNAVAILABLE` if one of them does not answer in time: it may be
   * dead, and is counted on until its lease has ended.
   */
  ask<K extends NodeQuestion>(kind: K, payload: NodeQuestions[K]['payload']): Promise<NodeQuestions[K]['answer'][]>;
  /** Returns the answers that come in time. It is for questions where a missing answer does no harm. */
  survey<K extends NodeQuestion>(kind: K, payload: NodeQuestions[K]['payload']): Promise<NodeQuestions[K]['answer'][]>;
  /**
   * Returns the answers that come within the time, in milliseconds. `missing` has the nodes with a lease that have not answered, or could not,
   * and those whose lease has ended although the broker still counts them among its clients: they are frozen, or cut off from it.
   */
  poll<K extends NodeQuestion>(
    kind: K,
    payload: NodeQuestions[K]['payload'],
    withinMs: number,
  ): Promise<{ answers: NodeQuestions[K]['answer'][]; missing: string[] }>;
  /** Tells the nodes that listen, and waits for no answer. */
  tell<K extends NodeQuestion>(kind: K, payload: NodeQuestions[K]['payload']): Promise<void>;
  /** Answers `kind` on this node. */
  answer<K extends NodeQuestion>(
    kind: K,
    handler: (payload: NodeQuestions[K]['payload']) => Promise<NodeQuestions[K]['answer']>,
  ): void;
  stop(): void;
}

/** The relays that share this one's groups: other machines, and other workers of this one. */
export type OtherNodes = Pick<NodeRequests, 'answer' | 'poll'>;

/** How long a node may take to answer, in milliseconds. */
const TIMEOUT_MS = 2_000;

export async function startNodeRequests(deps: {
  node: string;
  channels: ShardChannels;
  leases: Pick<NodeLeases, 'nodes' | 'lost'>;
  log: Logger;
}): Promise<NodeRequests> {
  const { node, channels, leases, log } = deps;
  const handlers = new Map<string, (payload: never) => Promise<object>>();
  const open = new Map<number, (reply: ReplyMessage) => void>();
  let lastId = 0;

  async function serve({ from, id, kind, payload }: RequestMessage): Promise<void> {
    const handler = handlers.get(kind);
    // Nobody waits for a reply to the id 0.
    if (from === node || (!handler && id === 0)) return;
    if (!handler) {
      const error = `it does not know the question "${kind}"; it is of another version`;
      await channels.publish(replyChannel(from), encodeMessage({ type: 'reply', from: node, id, error }));
      return;
    }
    const outcome = await handler(payload as never).then(
      (answer) => ({ answer }),
      (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
    );
    const reply = encodeMessage({ type: 'reply', from: node, id, ...outcome });
    await channels.publish(replyChannel(from), reply);
  }

  const subscriptions = [
    channels.subscribe(REQUEST_CHANNEL, {
      onMessage(text) {
        serve(decodeRequest(text)).catch((error: unknown) => {
          log.debug({ err: error }, 'unable to answer another relay');
        });
      },
    }),
    channels.subscribe(replyChannel(node), {
      onMessage(text) {
        const reply = decodeReply(text);
        open.get(reply.id)?.(reply);
      },
    }),
  ];
  // While Redis is away they fail, and are made when it is back.
  await Promise.allSettled(subscriptions);

  function encode<K extends NodeQuestion>(kind: K, id: number, payload: NodeQuestions[K]['payload']): string {
    return encodeMessage({ type: 'request', from: node, id, kind, payload } as RequestMessage);
  }

  async function askAll<K extends NodeQuestion>(
    kind: K,
    payload: NodeQuestions[K]['payload'],
    { withinMs = TIMEOUT_MS, onError }: { withinMs?: number; onError: 'reject' | 'step over' },
  ): Promise<{ answers: NodeQuestions[K]['answer'][]; missing: string[] }> {
    const all = await leases.nodes().catch((cause: unknown) => {
      throw brokerUnavailable('ask the other relays', cause);
    });
    const others = new Set(all.filter((other) => other !== node));
    if (others.size === 0) return { answers: [], missing: [] };
    lastId += 1;
    const id = lastId;
    const answers: NodeQuestions[K]['answer'][] = [];
    const failed: string[] = [];
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(resolve, withinMs);
        open.set(id, ({ from, answer, error }) => {
          // A node that is starting up hears the question too, and has no lease: nothing depends on it yet.
          if (!others.delete(from)) return;
          if (answer && error === undefined) answers.push(answer);
          else if (onError === 'step over') failed.push(from);
          else reject(brokerUnavailable(`carry it out on relay ${from}: ${error}`, undefined));
          if (others.size === 0) resolve();
        });
        channels
          .publish(REQUEST_CHANNEL, encode(kind, id, payload))
          .catch((cause: unknown) => reject(brokerUnavailable('ask the other relays', cause)));
      });
      return { answers, missing: [...others, ...failed] };
    } finally {
      clearTimeout(timer);
      open.delete(id);
    }
  }

  /** Returns the nodes that are lost and still have their connection to the broker. */
  async function findFrozen(): Promise<string[]> {
    const nothing = encodeMessage({ type: 'reply', from: node, id: 0, answer: {} });
    const lost = leases.lost().map(async (other) => {
      const listening = await channels.publish(replyChannel(other), nothing).catch(() => 0);
      return listening > 0 ? [other] : [];
    });
    return (await Promise.all(lost)).flat();
  }

  return {
    async ask(kind, payload) {
      const { answers, missing } = await askAll(kind, payload, { onError: 'reject' });
      if (missing.length > 0) {
        throw brokerUnavailable(`reach every relay; ${missing.join(', ')} did not answer`, undefined);
      }
      return answers;
    },
    survey: async (kind, payload) => (await askAll(kind, payload, { onError: 'reject' })).answers,
    async poll(kind, payload, withinMs) {
      const { answers, missing } = await askAll(kind, payload, { withinMs, onError: 'step over' });
      return { answers, missing: [...missing, ...(await findFrozen())] };
    },
    async tell(kind, payload) {
      // No request has this id, so nobody hears the replies.
      await channels.publish(REQUEST_CHANNEL, encode(kind, 0, payload));
    },
    answer: (kind, handler) => void handlers.set(kind, handler),
    stop() {
      channels.unsubscribe(REQUEST_CHANNEL);
      channels.unsubscribe(replyChannel(node));
    },
  };
}
