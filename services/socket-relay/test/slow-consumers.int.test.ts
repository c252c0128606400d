import { connect, type Socket as NetSocket } from 'node:net';
import type { GroupEvent, JoinGroupResult, MonitorEvent, Position, ResumeResult } from '@groupcast/shared';
import { received, TEST_SECRETS, tokenFor, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { Socket } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const CAP = 128 * 1_024;
const EVENT_BYTES = 65_000;
/** More than a socket on this machine takes at once, many times the cap. */
const BURST_BYTES = 12 * 1_024 * 1_024;
const at = (seq: number): Position => ({ epoch: '1-a', seq });
const upTo = (seq: number): number[] => Array.from({ length: seq }, (_, index) => index + 1);

describe('slow consumers', () => {
  let relay: RelayUnderTest;
  let head: number;
  const wires: NetSocket[] = [];
  beforeEach(async () => {
    head = 0;
    relay = await startRelayUnderTest({
      MAX_BUFFERED_BYTES: String(CAP),
      MAX_PAYLOAD_BYTES: String(16 * 1_024 * 1_024),
      HISTORY_BYTES: String(256 * 1_024 * 1_024),
      // A client that does not read hears no ping either, and is not to be gone for that.
      PING_TIMEOUT_MS: '60000',
    });
  });
  afterEach(async () => {
    for (const wire of wires.splice(0)) wire.destroy();
    await relay.close();
  });

  async function publish(bytes = EVENT_BYTES): Promise<void> {
    head += 1;
    const message = { text: 'x'.repeat(bytes) };
    await relay.broadcaster.broadcastMessage({ groupId: 'g', id: `m${head}`, ...at(head), message });
  }
  async function publishUntil(what: string, condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) {
      expect(head, `events published before ${what}`).toBeLessThan(500);
      await publish();
    }
  }

  async function metric(name: string): Promise<number> {
    const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
    return line === undefined ? 0 : Number(line.slice(name.length));
  }
  const cuts = async (reason: string): Promise<number> =>
    metric(`groupcast_relay_slow_consumers_total{reason="${reason}"}`);
  const aboveCap = async (): Promise<number> => metric('groupcast_relay_send_backlog{of="connections"}');
  const bytesWhenCut = async (): Promise<number> => metric('groupcast_relay_slow_consumer_backlog_bytes_sum');

  /** A member that comes back with its position, and everything it got, in the order in which it came. */
  async function follow(userId: string, transport = 'websocket'): Promise<{ socket: Socket; shown: number[] }> {
    const shown: number[] = [];
    const token = await tokenFor(userId, ['g']);
    const socket = relay.client(
      { token },
      { transports: [transport], reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 },
    );
    socket.auth = (give) => give(head === 0 ? { token } : { token, positions: { g: at(shown.at(-1) ?? 0) } });
    const apply = ({ groups }: ResumeResult): void => {
      const { events, more, recovered } = groups['g'] as JoinGroupResult;
      expect(recovered).toBe(true);
      shown.push(...events.map(({ seq }) => seq));
      if (more) socket.emit('resume', { positions: { g: at(shown.at(-1) ?? 0) } }, apply);
    };
    socket.on('resumed', apply);
    socket.on('new-message', ({ seq }: GroupEvent) => shown.push(seq));
    await received(socket, 'joined-groups');
    return { socket, shown };
  }

  /** The TCP socket under a client that speaks WebSocket. */
  function wireOf(socket: Socket): NetSocket {
    return (socket.io.engine.transport as unknown as { ws: { _socket: NetSocket } }).ws._socket;
  }

  /** A member that polls by hand, and has joined its group. */
  async function openPolling(userId: string): Promise<{ url: string; poll: () => Promise<string> }> {
    const base = `${relay.url}/socket.io/?EIO=4&transport=polling`;
    const opened = await (await fetch(base)).text();
    const { sid } = JSON.parse(opened.slice(1)) as { sid: string };
    const url = `${base}&sid=${sid}`;
    await fetch(url, { method: 'POST', body: `40${JSON.stringify({ token: await tokenFor(userId, ['g']) })}` });
    const poll = async (): Promise<string> => (await fetch(url)).text();
    await until('to have joined', async () => (await poll()).includes('joined-groups'));
    return { url, poll };
  }

  test('one that stops reading is cut, nobody waits for it, and it recovers exactly what it missed (G25)', async () => {
    const secret = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
    const monitor = relay.client({
      token: await signServiceToken({ ...secret, scopes: ['monitor'] }),
      type: 'monitor',
    });
    await received(monitor, 'monitor-snapshot');
    const warnings: MonitorEvent[] = [];
    monitor.on('monitor-event', (event: MonitorEvent) => event.kind === 'warning' && warnings.push(event));
    const others = await Promise.all(upTo(9).map(async (n) => follow(`u${n}`)));
    const stalled = await follow('stalled');
    const { id } = stalled.socket;
    await publish();
    await until('the first event', () => stalled.shown.length === 1);

    const wire = wireOf(stalled.socket).pause();
    await publishUntil('the cut', async () => (await cuts('over-limit')) === 1);
    // The relay held for it: 4 caps, and the bytes that one turn added before it looked.
    expect(await bytesWhenCut()).toBeGreaterThan(4 * CAP);
    expect(await bytesWhenCut()).toBeLessThanOrEqual(4 * CAP + 1.1 * EVENT_BYTES);
    expect(await aboveCap()).toBe(0);
    for (let n = 0; n < 10; n += 1) await publish();
    await until('the others to have everything', () => others.every(({ shown }) => shown.length >= head));
    for (const { shown } of others) expect(shown).toEqual(upTo(head));
    expect(warnings).toMatchObject([{ code: 'SLOW_CONSUMER', socketId: id, userId: 'stalled' }]);
    expect(relay.logged.filter(({ code }) => code === 'SLOW_CONSUMER')).toMatchObject([{ level: 40 }]);

    // It is gone whether it reads or not.
    await until('9 connections', async () => (await metric('groupcast_relay_connections{type="user"}')) === 9);
    expect(await metric('groupcast_relay_disconnects_total{type="user",reason="SLOW_CONSUMER"}')).toBe(1);
    // The operating system gives the bytes that were on their way; then the connection ends, and the client comes back.
    expect(stalled.shown).toEqual([1]);
    wire.resume();
    await until('to have recovered', () => stalled.shown.length >= head);
    await publish();
    await until('to be live', () => stalled.shown.length >= head);
    expect(stalled.shown).toEqual(upTo(head));
    expect(stalled.socket.id).not.toBe(id);
    expect((await cuts('over-limit')) + (await cuts('stalled'))).toBe(1);
  });

  test('one that reads on in time keeps its connection, and misses nothing', async () => {
    const member = await follow('alice');
    const { id } = member.socket;
    const wire = wireOf(member.socket).pause();
    await publishUntil('the cap', async () => (await aboveCap()) === 1);
    wire.resume();
    await until('to have everything', () => member.shown.length >= head);
    expect(await until('the backlog to be gone', async () => (await aboveCap()) === 0)).toBe(true);
    expect(member.shown).toEqual(upTo(head));
    expect([member.socket.id, await bytesWhenCut()]).toEqual([id, 0]);
  });

  test('one whose line is slow is no slow consumer: bytes that go out bit by bit count', async () => {
    const member = await follow('alice');
    const wire = wireOf(member.socket).pause();
    await publish(BURST_BYTES);
    await publish();
    await until('the cap', async () => (await aboveCap()) === 1);
    expect(await metric('groupcast_relay_send_backlog{of="bytes"}')).toBeLessThan(BURST_BYTES);
    const startedAt = performance.now();
    let mark = 0;
    const line = setInterval(() => {
      mark = wire.bytesRead;
      wire.resume();
    }, 500);
    const readABit = (): unknown => wire.bytesRead - mark > 256 * 1_024 && wire.pause();
    wire.on('data', readABit);
    await until('the backlog to be gone', async () => (await aboveCap()) === 0);
    clearInterval(line);
    wire.off('data', readABit).resume();
    await until('everything', () => member.shown.length === head);
    expect(performance.now() - startedAt).toBeGreaterThan(5_000);
    expect([member.shown, await bytesWhenCut()]).toEqual([upTo(head), 0]);
  });

  test('one that stops polling is cut and told why by the next poll', async () => {
    const { poll } = await openPolling('alice');
    await publish();
    expect(await poll()).toContain('"seq":1');
    await publishUntil('the cut', async () => (await cuts('over-limit')) === 1);
    expect(await bytesWhenCut()).toBeLessThanOrEqual(4 * CAP + 1.1 * EVENT_BYTES);
    const told = await poll();
    expect(told).toMatch(/^42\["session-ending",\{"code":"SLOW_CONSUMER".*"next":"reconnect","retryAfterMs":\d+\}\]$/);

    const back = relay.client(
      { token: await tokenFor('alice', ['g']), positions: { g: at(1) } },
      { transports: ['polling'] },
    );
    const seqs: number[] = [];
    let { groups } = await received<ResumeResult>(back, 'resumed');
    for (;;) {
      const { events, position, more } = groups['g'] as JoinGroupResult;
      seqs.push(...events.map(({ seq }) => seq));
      if (!more || !position) break;
      ({ groups } = (await back.emitWithAck('resume', { positions: { g: position } })) as ResumeResult);
    }
    expect(seqs).toEqual(upTo(head).slice(1));
  });

  test('one that polls and does not read the answer is cut after 5 s', async () => {
    const { url } = await openPolling('alice');
    await publish(BURST_BYTES);
    const { hostname, port, pathname, search } = new URL(url);
    const wire = connect(Number(port), hostname);
    wires.push(wire);
    wire.on('error', () => undefined).pause();
    wire.write(`GET ${pathname}${search} HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`);
    await until('the cut', async () => (await cuts('stalled')) === 1);
    await until('the end', async () => (await metric('groupcast_relay_connections{type="user"}')) === 0);
    // The wire is cut as well: it carried the bytes that the operating system had taken, and then nothing.
    const ended = received(wire, 'close');
    wire.resume();
    await ended;
    expect(wire.bytesRead).toBeLessThan(BURST_BYTES);
  });

  test.each(['websocket', 'polling'])('a healthy %s client is not cut by one turn’s burst (G25)', async (transport) => {
    const member = await follow('alice', transport);
    const { id } = member.socket;
    for (let n = 1; n <= 2; n += 1) {
      await publish(BURST_BYTES);
      await publish();
      await until('the burst', () => member.shown.length === head);
    }
    expect(member.shown).toEqual(upTo(head));
    expect([member.socket.id, await bytesWhenCut()]).toEqual([id, 0]);
  });
});
