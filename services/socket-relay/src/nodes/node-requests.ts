import type { Logger } from '@groupcast/service-kit';
import { RELAYS } from '../wire-format.ts';
import { brokerUnavailable } from './broker-errors.ts';
import type { ShardChannels } from './channels.ts';
import type { NodeLeases } from './node-leases.ts';

/** Asks every other relay something, and waits for all answers. */
export interface NodeRequests {
  /**
   * One answer per other node that has a lease. Rejects with `BROKER_UNAVAILABLE` when one of them does not answer in time: it may be
   * dead, and is counted on until its lease has ended.
   */
  ask(kind: string, payload: object): Promise<object[]>;
  /** The answers that come in time, for what is only to be looked at. */
  survey(kind: string, payload: object): Promise<object[]>;
  /** Says something to those who listen, and waits for no answer. */
  tell(kind: string, payload: object): Promise<void>;
  /** Answers `kind` on this node. */
  answer(kind: string, handler: (payload: never) => Promise<object>): void;
  stop(): void;
}

const ALL = `${RELAYS}:requests`;
const TIMEOUT_MS = 2_000;

interface Request {
  from: string;
  id: number;
  kind: string;
  payload: object;
}

interface Reply {
  from: string;
  id: number;
  answer?: object;
  error?: string;
}

const replyChannel = (node: string): string => `{relay:${node}}:replies`;

export async function startNodeRequests(deps: {
  node: string;
  channels: ShardChannels;
  leases: NodeLeases;
  log: Logger;
}): Promise<NodeRequests> {
  const { node, channels, leases, log } = deps;
  const handlers = new Map<string, (payload: never) => Promise<object>>();
  const open = new Map<number, (reply: Reply) => void>();
  let lastId = 0;

  async function serve({ from, id, kind, payload }: Request): Promise<void> {
    const handler = handlers.get(kind);
    if (from === node || !handler) return;
    const reply: Reply = await handler(payload as never).then(
      (answer) => ({ from: node, id, answer }),
      (error: unknown) => ({ from: node, id, error: error instanceof Error ? error.message : String(error) }),
    );
    await channels.publish(replyChannel(from), JSON.stringify(reply));
  }

  const subscriptions = [
    channels.subscribe(ALL, {
      onMessage(text) {
        serve(JSON.parse(text) as Request).catch((error: unknown) => {
          log.debug({ err: error }, 'unable to answer another relay');
        });
      },
    }),
    channels.subscribe(replyChannel(node), {
      onMessage(text) {
        const reply = JSON.parse(text) as Reply;
        open.get(reply.id)?.(reply);
      },
    }),
  ];
  // With Redis away they are made when it is back.
  await Promise.allSettled(subscriptions);

  async function askAll(kind: string, payload: object, needsAll: boolean): Promise<object[]> {
    const others = new Set((await leases.nodes()).filter((other) => other !== node));
    if (others.size === 0) return [];
    lastId += 1;
    const id = lastId;
    const answers: object[] = [];
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => {
          const missing = [...others].join(', ');
          if (needsAll) reject(brokerUnavailable(`reach every relay; ${missing} did not answer`, undefined));
          else resolve();
        }, TIMEOUT_MS);
        open.set(id, ({ from, answer, error }) => {
          if (error !== undefined) {
            reject(brokerUnavailable(`carry it out on relay ${from}: ${error}`, undefined));
            return;
          }
          if (others.delete(from) && answer) answers.push(answer);
          if (others.size === 0) resolve();
        });
        const request: Request = { from: node, id, kind, payload };
        channels
          .publish(ALL, JSON.stringify(request))
          .catch((cause: unknown) => reject(brokerUnavailable('ask the other relays', cause)));
      });
      return answers;
    } finally {
      clearTimeout(timer);
      open.delete(id);
    }
  }

  return {
    ask: async (kind, payload) => askAll(kind, payload, true),
    survey: async (kind, payload) => askAll(kind, payload, false),
    async tell(kind, payload) {
      // No request has this id: what comes back is heard by nobody.
      const request: Request = { from: node, id: 0, kind, payload };
      await channels.publish(ALL, JSON.stringify(request));
    },
    answer: (kind, handler) => void handlers.set(kind, handler),
    stop() {
      channels.unsubscribe(ALL);
      channels.unsubscribe(replyChannel(node));
    },
  };
}
