import { pino } from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ChannelListener, ShardChannels } from '../src/nodes/channels.ts';
import { type NodeRequests, startNodeRequests } from '../src/nodes/node-requests.ts';

/** Channels in memory, over which several nodes talk. */
function createChannels(): ShardChannels {
  const listeners = new Map<string, Set<ChannelListener>>();
  return {
    async subscribe(channel, listener) {
      listeners.set(channel, (listeners.get(channel) ?? new Set()).add(listener));
    },
    unsubscribe: (channel) => void listeners.delete(channel),
    async publish(channel, text) {
      const heard = [...(listeners.get(channel) ?? [])];
      for (const { onMessage } of heard) queueMicrotask(() => onMessage(text));
      return heard.length;
    },
    renew: () => undefined,
    stop: () => undefined,
  };
}

describe('questions to the other nodes', () => {
  let channels: ShardChannels;
  const leases = { nodes: async () => ['asking', 'ready'], lost: (): readonly string[] => [] };
  const start = async (node: string): Promise<NodeRequests> =>
    startNodeRequests({ node, channels, leases, log: pino({ level: 'silent' }) });
  let asking: NodeRequests;
  let ready: NodeRequests;

  beforeEach(async () => {
    channels = createChannels();
    leases.lost = () => [];
    asking = await start('asking');
    ready = await start('ready');
    ready.answer('reached', async () => ({ connections: 3 }));
  });

  test('a node that is starting up, and cannot answer yet, makes none fail', async () => {
    // It hears of the question first.
    channels = createChannels();
    await start('starting');
    asking = await start('asking');
    ready = await start('ready');
    ready.answer('reached', async () => ({ connections: 3 }));
    expect(await asking.ask('reached', { id: '1' })).toEqual([{ connections: 3 }]);
    expect(await asking.survey('reached', { id: '1' })).toEqual([{ connections: 3 }]);
  });

  test('a node with a lease that cannot carry it out makes it fail, with its reason', async () => {
    ready.answer('reached', async () => Promise.reject(new Error('it is full')));
    await expect(asking.ask('reached', { id: '1' })).rejects.toMatchObject({
      code: 'BROKER_UNAVAILABLE',
      message: expect.stringContaining('relay ready: it is full'),
    });
    expect(await asking.poll('reached', { id: '1' }, 1_000)).toEqual({ answers: [], missing: ['ready'] });
  });

  test('a node that is lost and still has its connection is missing, and one that is dead is not', async () => {
    await start('frozen');
    leases.lost = () => ['frozen', 'dead'];
    expect(await asking.poll('reached', { id: '1' }, 1_000)).toEqual({
      answers: [{ connections: 3 }],
      missing: ['frozen'],
    });
  });
});
