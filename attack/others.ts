// The other users: members that receive, clients that connect, and HTTP requests. The time that they wait is the cost of an attack.
import { type Broadcaster, createBroadcaster } from '@groupcast/broadcaster';
import { TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { io, type Socket } from 'socket.io-client';

const MEMBERS = 20;
const GROUP = 'others';
const PUBLISH_MS = 50;
const NEWCOMER_MS = 250;
const HTTP_MS = 100;
const POST_MS = 200;
/** Longest wait that is counted, in milliseconds; a longer one counts as this. */
const GIVE_UP_MS = 30_000;

export type Kind = 'message' | 'newcomer' | 'http' | 'post';

export interface Others {
  /** Begins to measure anew. */
  reset(): void;
  /** Their waits since then, in milliseconds; one that is not over counts with its length so far. */
  waits(): Record<Kind, number[]>;
  /** How often something failed that should not have. */
  failures(): Record<string, number>;
  stop(): Promise<void>;
}

const memberName = (index: number): string => `other-${index}`;
const NEWCOMER = 'newcomer';

/** A group of the API with all users in it, one of whom posts. */
async function openGroup(apiUrl: string): Promise<{ id: string; post: (content: string) => Promise<void> }> {
  const headers = { authorization: `Bearer ${await tokenFor('poster')}`, 'content-type': 'application/json' };
  const memberIds = [...Array.from({ length: MEMBERS }, (_, index) => memberName(index)), NEWCOMER];
  const body = JSON.stringify({ name: 'others', memberIds });
  const made = await fetch(`${apiUrl}/api/messaging/groups`, { method: 'POST', headers, body });
  const { id } = ((await made.json()) as { group: { id: string } }).group;
  return {
    id,
    async post(content) {
      const response = await fetch(`${apiUrl}/api/messaging/groups/${id}/messages`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ content }),
        signal: AbortSignal.timeout(GIVE_UP_MS),
      });
      await response.text();
      if (response.status !== 201) throw new Error(`HTTP ${response.status}`);
    },
  };
}

export async function startOthers(target: { relayUrl: string; apiUrl: string }): Promise<Others> {
  const { relayUrl, apiUrl } = target;
  let waited: Record<Kind, number[]> = { message: [], newcomer: [], http: [], post: [] };
  let failed: Record<string, number> = {};
  const open = new Set<{ kind: Kind; since: number }>();
  const timers: NodeJS.Timeout[] = [];
  const sockets = new Set<Socket>();
  let stopped = false;

  async function measure(kind: Kind, work: () => Promise<unknown>): Promise<void> {
    const entry = { kind, since: performance.now() };
    open.add(entry);
    try {
      await work();
      if (open.delete(entry)) waited[kind].push(performance.now() - entry.since);
    } catch (error) {
      if (stopped || !open.delete(entry)) return;
      const what = `${kind}: ${error instanceof Error ? error.message : String(error)}`;
      failed[what] = (failed[what] ?? 0) + 1;
      waited[kind].push(performance.now() - entry.since);
    }
  }

  const group = apiUrl ? await openGroup(apiUrl) : undefined;
  const groupId = group?.id ?? GROUP;

  async function joined(userId: string): Promise<Socket> {
    const auth = { token: await tokenFor(userId, [groupId]) };
    const socket = io(relayUrl, { forceNew: true, transports: ['websocket'], auth, timeout: GIVE_UP_MS });
    sockets.add(socket);
    await new Promise((resolve) => socket.once('joined-groups', resolve));
    return socket;
  }

  const publisher: Broadcaster = createBroadcaster({
    url: relayUrl,
    serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET,
    timeoutMs: GIVE_UP_MS,
  });
  /** The members that still wait for a message, by its content. */
  const expected = new Map<string, { since: number; left: number }>();
  for (let index = 0; index < MEMBERS; index += 1) {
    const socket = await joined(memberName(index));
    socket.on('new-message', ({ content }: { content: string }) => {
      const message = expected.get(content);
      if (!message) return;
      waited.message.push(performance.now() - message.since);
      message.left -= 1;
      if (message.left === 0) expected.delete(content);
    });
  }
  let number = 0;
  function announce(): string {
    number += 1;
    const content = `m${number}`;
    expected.set(content, { since: performance.now(), left: MEMBERS });
    return content;
  }

  timers.push(
    setInterval(() => {
      void measure('newcomer', async () => {
        const socket = await joined(NEWCOMER);
        socket.close();
        sockets.delete(socket);
      });
    }, NEWCOMER_MS),
    setInterval(() => {
      void measure('http', async () => {
        const response = await fetch(`${apiUrl || relayUrl}/livez`, {
          headers: { connection: 'close' },
          signal: AbortSignal.timeout(GIVE_UP_MS),
        });
        await response.text();
      });
    }, HTTP_MS),
    group
      ? setInterval(() => void measure('post', async () => group.post(announce())), POST_MS)
      : setInterval(() => {
          const content = announce();
          publisher.broadcastMessage({ groupId, message: { content } }).catch(() => undefined);
        }, PUBLISH_MS),
  );

  return {
    reset() {
      waited = { message: [], newcomer: [], http: [], post: [] };
      failed = {};
      open.clear();
      expected.clear();
    },
    waits() {
      const now = performance.now();
      const all = { ...waited };
      for (const { kind, since } of open) all[kind] = [...all[kind], now - since];
      for (const { since, left } of expected.values()) {
        all.message = [...all.message, ...Array.from({ length: left }, () => now - since)];
      }
      return all;
    },
    failures: () => failed,
    async stop() {
      stopped = true;
      for (const timer of timers) clearInterval(timer);
      for (const socket of sockets) socket.close();
      await publisher.close();
    },
  };
}
