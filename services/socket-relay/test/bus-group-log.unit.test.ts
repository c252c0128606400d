import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { createBus } from '../src/cluster/local-bus/bus.ts';
import { createBusGroupLog } from '../src/cluster/local-bus/bus-broker.ts';
import type { GroupLog } from '../src/group-log/group-log.ts';
import { createMemoryGroupLog } from '../src/group-log/memory-group-log.ts';
import { createEndpoint, type Endpoint } from '../src/ipc/endpoint.ts';
import { decodeGroupMessage, groupChannel } from '../src/wire-format.ts';
import { describeGroupLog, type GroupLogLimits } from './group-log.suite.ts';

const log = pino({ level: 'silent' });
let clock = Date.UTC(2026, 0, 1);
const cleanups: (() => void | Promise<void>)[] = [];

function endpointOn(port: MessagePort): Endpoint {
  cleanups.push(() => port.close());
  return createEndpoint(
    {
      post(message, sent) {
        port.postMessage(message);
        sent?.(null);
      },
      onMessage: (listener) => void port.on('message', listener),
    },
    300,
  );
}

/** A bus with `count` workers: their ends of it, and how it is told that one is gone. */
function startBus(limits: GroupLogLimits, count = 1): { workers: Endpoint[]; leave: (() => void)[] } {
  const bus = createBus({
    groupLog: createMemoryGroupLog({ ...limits, now: () => clock }),
    memoryMs: 60_000,
    maxEntries: 10_000,
    log,
  });
  cleanups.push(async () => bus.stop());
  const pairs = Array.from({ length: count }, () => {
    const { port1, port2 } = new MessageChannel();
    return { leave: bus.serve(endpointOn(port1)), worker: endpointOn(port2) };
  });
  return { workers: pairs.map(({ worker }) => worker), leave: pairs.map(({ leave }) => leave) };
}

async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0)) await cleanup();
}

describeGroupLog('the primary process', {
  create(limits) {
    const [worker] = startBus(limits).workers;
    return { ...createBusGroupLog(worker as Endpoint), close: cleanUp } satisfies GroupLog;
  },
  outlive({ ttlMs }) {
    clock += ttlMs + 1;
  },
});

describe('the bus', () => {
  const limits = { size: 10, bytes: 100_000, ttlMs: 60_000, totalBytes: 1_000_000 };
  afterEach(cleanUp);

  test('hands every event that got its position to its listener, in the order of the log, before its publisher has the answer', async () => {
    const [first, second] = startBus(limits, 2).workers as [Endpoint, Endpoint];
    first.tell('node', 'n1');
    const heard: string[] = [];
    first.answer('message', (channel: string, text: string) => {
      const message = decodeGroupMessage(text);
      if (message.type === 'event') heard.push(`${channel} ${message.node} ${message.event.id} ${message.event.seq}`);
    });
    await first.ask('subscribe', groupChannel('g'));
    const input = (id: string) => ({ groupId: 'g', id, event: 'e', message: {} });
    second.tell('node', 'n2');
    const outcome = await createBusGroupLog(first).append(input('a'));
    expect([outcome, heard]).toMatchObject([{ outcome: 'appended', nodes: 1 }, ['{g} n1 a 1']]);
    await createBusGroupLog(second).append(input('b'));
    await createBusGroupLog(second).append(input('b'));
    await createBusGroupLog(first).append(input('c'));
    expect(heard).toEqual(['{g} n1 a 1', '{g} n2 b 2', '{g} n1 c 3']);
  });

  test('a worker that does not read gets nothing more above the bound, and again when it reads', async () => {
    const bus = createBus({ groupLog: createMemoryGroupLog(limits), memoryMs: 60_000, maxEntries: 10_000, log });
    cleanups.push(async () => bus.stop());
    const waiting: (() => void)[] = [];
    const handlers = new Map<string, (...args: unknown[]) => unknown>();
    let sent = 0;
    bus.serve({
      ask: async () => undefined as never,
      tell: () => undefined,
      post(_method, _args, done) {
        sent += 1;
        waiting.push(done);
      },
      answer: (method, handler) => void handlers.set(method, handler as (...args: unknown[]) => unknown),
      close: () => undefined,
    });
    const publish = (text: string): unknown => handlers.get('publish')?.('c', text);
    await handlers.get('subscribe')?.('c');
    for (let n = 0; n < 6; n += 1) publish('x'.repeat(10 * 1024 * 1024));
    expect(sent).toBe(4);
    for (const done of waiting.splice(0)) done();
    publish('y');
    expect(sent).toBe(5);
  });

  test('counts on a worker until its process has ended', async () => {
    const { workers, leave } = startBus(limits, 2);
    const [first, second] = workers as [Endpoint, Endpoint];
    first.tell('node', 'n1');
    second.tell('node', 'n2');
    await second.ask('renew', 1_000, true);
    expect(await first.ask('renew', 1_000, false)).toEqual({ nodes: ['n1', 'n2'], monitors: 1, wasKnown: true });
    leave[1]?.();
    expect(await first.ask('renew', 1_000, false)).toEqual({ nodes: ['n1'], monitors: 0, wasKnown: true });
  });

  test('a primary that does not answer is BROKER_UNAVAILABLE, naming the id to come again with', async () => {
    const { port1, port2 } = new MessageChannel();
    const primary = endpointOn(port2);
    cleanups.push(() => port1.close());
    const groupLog = createBusGroupLog(primary);
    await expect(groupLog.append({ groupId: 'g', id: 'a', event: 'e', message: {} })).rejects.toMatchObject({
      code: 'BROKER_UNAVAILABLE',
      retryable: true,
      details: { id: 'a' },
    });
  });
});
