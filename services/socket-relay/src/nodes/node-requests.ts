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
  /** Returns the answers that come within the time, in milliseconds, and the nodes with a lease that have not answered, or could not. */
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
  leases: NodeLeases;
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
          if (error !== undefined && onError === 'reject') {
            reject(brokerUnavailable(`carry it out on relay ${from}: ${error}`, undefined));
            return;
          }
          if (others.delete(from)) {
            if (answer && error === undefined) answers.push(answer);
            else failed.push(from);
          }
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

  return {
    async ask(kind, payload) {
      const { answers, missing } = await askAll(kind, payload, { onError: 'reject' });
      if (missing.length > 0) {
        throw brokerUnavailable(`reach every relay; ${missing.join(', ')} did not answer`, undefined);
      }
      return answers;
    },
    survey: async (kind, payload) => (await askAll(kind, payload, { onError: 'reject' })).answers,
    poll: async (kind, payload, withinMs) => askAll(kind, payload, { withinMs, onError: 'step over' }),
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
