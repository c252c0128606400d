import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Message } from '@groupcast/shared';
import {
  freePort,
  received,
  type ServiceProcess,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MessageTrace } from '../src/tracing/trace-service.ts';
import { type ApiUnderTest, startApiUnderTest } from './api-harness.ts';

const GROUPS = '/api/messaging/groups';

interface Told {
  data: { messageId: string; absent: { userId: string; why: string }[] };
}

describe('a message on its way through a real relay', () => {
  let relay: ServiceProcess;
  let api: ApiUnderTest;
  let receiver: Server;
  const told: Told[] = [];
  beforeAll(async () => {
    receiver = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      request.on('end', () => {
        told.push(JSON.parse(text) as Told);
        response.writeHead(204).end();
      });
    });
    await new Promise<void>((resolve) => {
      receiver.listen(0, '127.0.0.1', resolve);
    });
    const port = String(await freePort());
    relay = await startRelayProcess({ API_URL: `http://127.0.0.1:${port}` });
    api = await startApiUnderTest({
      API_PORT: port,
      RELAY_URL: relay.url,
      ABSENT_WEBHOOK_URL: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`,
      ABSENT_WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 1).toString('base64')}`,
      ABSENT_AFTER_MS: '1000',
    });
  });
  afterAll(async () => {
    await api.close();
    await relay.stop();
    receiver.closeAllConnections();
    await new Promise((resolve) => {
      receiver.close(resolve);
    });
  });

  /** A connection whose token names these groups; resolves once it is told that it is in them. */
  async function connect(userId: string, groups: string[]): Promise<Socket> {
    const auth = { token: await tokenFor(userId, groups) };
    const socket = io(relay.url, { forceNew: true, transports: ['websocket'], reconnection: false, auth });
    await received(socket, 'joined-groups');
    return socket;
  }

  async function traceAs(user: string | null, { id }: Message): Promise<MessageTrace> {
    const token = await signServiceToken({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      scopes: ['monitor'],
      subject: 'operator',
      audience: 'groupcast-api',
    });
    const headers: Record<string, string> = user === null ? { authorization: `Bearer ${token}` } : {};
    const path = `/api/messaging/messages/${id}/trace`;
    const { status, body } = await api.request<MessageTrace>(user, 'GET', path, undefined, headers);
    expect({ status, body }).toMatchObject({ status: 200 });
    return body;
  }

  test('is traced to each recipient, and those who have not got it are told of', async () => {
    const memberIds = ['bob', 'carol', 'dave'];
    expect((await api.request('alice', 'POST', GROUPS, { id: 'team', memberIds })).status).toBe(201);
    const bob = await connect('bob', ['team']);
    const dave = await connect('dave', ['team']);
    // He stays connected, and a member.
    expect(await dave.emitWithAck('leave-group', { groupId: 'team' })).toMatchObject({ ok: true });
    try {
      const arrived = received(bob, 'new-message');
      const sent = await api.request<{ message: Message }>('alice', 'POST', `${GROUPS}/team/messages`, {
        content: 'hello',
      });
      const { message } = sent.body;
      await arrived;
      await until('the webhook', () => told.some(({ data }) => data.messageId === message.id));
      const webhook = told.find(({ data }) => data.messageId === message.id);
      expect(webhook?.data.absent.toSorted((a, b) => (a.userId < b.userId ? -1 : 1))).toEqual([
        { userId: 'carol', why: 'offline' },
        { userId: 'dave', why: 'connected-not-joined' },
      ]);

      const trace = await traceAs(null, message);
      expect(trace.recipients.map(({ userId, state }) => [userId, state])).toEqual([
        ['bob', expect.stringMatching(/^(?:proven|received|applied)$/)],
        ['carol', 'offline'],
        ['dave', 'connected-not-joined'],
      ]);
      expect(trace.verdict).toMatchObject({ state: 'partly', hop: 'written' });
      expect(trace.hops.map(({ hop, ok }) => [hop, ok])).toEqual([
        ['saved', true],
        ['claimed', true],
        ['relay-accepted', true],
        ['published', true],
        ['node-received', true],
        ['written', false],
        ['client-received', false],
        ['client-applied', false],
      ]);
      for (const { ms } of trace.hops) expect(ms ?? 0).toBeLessThan(10_000);
      expect(trace.recipients[2]).toMatchObject({ socketId: dave.id, fix: expect.any(String) });

      const seen = await traceAs('alice', message);
      expect(seen.recipients.map(({ userId, state }) => [userId, state])).toEqual([
        ['bob', expect.stringMatching(/^(?:proven|received|applied)$/)],
        ['carol', 'offline'],
        ['dave', 'offline'],
      ]);
    } finally {
      bob.close();
      dave.close();
    }
  });

  test('is delivered once its only other member has it, and is told of to nobody', async () => {
    expect((await api.request('alice', 'POST', GROUPS, { id: 'pair', memberIds: ['bob'] })).status).toBe(201);
    const bob = await connect('bob', ['pair']);
    try {
      const sent = await api.request<{ message: Message }>('alice', 'POST', `${GROUPS}/pair/messages`, {
        content: 'hello',
      });
      const { message } = sent.body;
      const trace = await until('it to be proven', async () => {
        const found = await traceAs('alice', message);
        return found.verdict.state === 'delivered' ? found : undefined;
      });
      expect(trace.verdict).toMatchObject({ code: 'DELIVERED' });
      // A later message of another group is told of after it.
      expect((await api.request('alice', 'POST', GROUPS, { id: 'away', memberIds: ['erin'] })).status).toBe(201);
      const later = await api.request<{ message: Message }>('alice', 'POST', `${GROUPS}/away/messages`, {
        content: '.',
      });
      await until('the later webhook', () => told.some(({ data }) => data.messageId === later.body.message.id));
      expect(told.filter(({ data }) => data.messageId === message.id)).toEqual([]);
    } finally {
      bob.close();
    }
  });
});
