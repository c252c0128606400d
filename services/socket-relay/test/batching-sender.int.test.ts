import { createServer } from 'node:http';
import type { AddressInfo, Socket as NetSocket } from 'node:net';
import { constants } from 'node:os';
import { received, until } from '@groupcast/testing';
import fc from 'fast-check';
import { pino } from 'pino';
import { Server, type ServerOptions } from 'socket.io';
import { io as connect, type Socket } from 'socket.io-client';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { RoomAdapter } from '../src/engine/room-adapter.ts';
import { attachWebSocketTransport } from '../src/engine/web-socket-transport.ts';
import { createBatchingSender } from '../src/fan-out/batching-sender.ts';
import { createStockSender, type Sender } from '../src/fan-out/sender.ts';
import { createRelayMetrics, type RelayMetrics } from '../src/metrics/relay-metrics.ts';
import type { MonitorFeed } from '../src/monitor/monitor-feed.ts';
import { createMarks } from '../src/sessions/marks.ts';
import { createOffsets } from '../src/sessions/offsets.ts';
import type { RelayServer, RelaySocket, Session } from '../src/sessions/session.ts';
import { createSlowConsumers } from '../src/slow-consumers/slow-consumers.ts';
import { replaceWrites } from './handle-writes.ts';

const ROOMS = ['a', 'b', 'c'] as const;
const TRANSPORTS = [['websocket'], ['polling'], ['polling', 'websocket'], ['websocket']];

type Make = (io: RelayServer) => Sender;
const makeDeps = (): Parameters<typeof createBatchingSender>[1] => ({
  slowConsumers: { wroteDirectly: () => undefined },
  metrics: createRelayMetrics(),
  notices: () => undefined,
  marks: createMarks(),
  offsets: createOffsets(),
  log: pino({ level: 'silent' }),
});
const SENDERS: Readonly<Record<'stock' | 'gathered', Make>> = {
  stock: (io) => createStockSender(io, createMarks()),
  gathered: (io) => createBatchingSender(io, makeDeps()),
};

/** The events that a client got, by the numbers of the emits; negative where it got something in the place of an event. */
interface Client {
  got: number[];
  /** How often a listener for outgoing events of its socket was called. */
  overheard: number;
  here: RelaySocket;
  there: Socket;
}

interface Bench {
  sender: Sender;
  io: RelayServer;
  clients: Client[];
}

const closing: (() => Promise<void>)[] = [];
async function closeAll(): Promise<void> {
  for (const close of closing.splice(0)) await close();
}
afterEach(closeAll);

async function startBench(
  make: Make,
  transports: readonly (readonly string[])[],
  options: Partial<ServerOptions> = {},
): Promise<Bench> {
  const http = createServer();
  const io: RelayServer = new Server(http, { adapter: RoomAdapter, ...options });
  attachWebSocketTransport(io.engine);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const theirs: Socket[] = [];
  closing.push(async () => {
    for (const socket of theirs) socket.disconnect();
    await io.close();
  });
  const sender = make(io);
  const clients = await Promise.all(
    transports.map(async (kinds) => {
      const there = connect(url, { transports: [...kinds], forceNew: true, reconnection: false });
      theirs.push(there);
      const got: number[] = [];
      there.onAny((name: string, { n }: { n: number }) => got.push(name === 'instead' ? -n : n));
      const here = await new Promise<RelaySocket>((resolve) => {
        there.on('connect', () => resolve(io.of('/').sockets.get(there.id ?? '') as RelaySocket));
      });
      return { got, overheard: 0, here, there };
    }),
  );
  return { sender, io, clients };
}

const client = fc.nat({ max: 5 });
const room = fc.constantFrom(...ROOMS);
const action = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      room,
      except: fc.option(client),
      bytes: fc.constantFrom(10, 200, 70_000),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('attachment' as const), room }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('emit' as const, 'volatile' as const), client }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('join' as const, 'leave' as const), client, room }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('busy' as const, 'idle' as const), client }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('overhear' as const), client }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('disconnect' as const, 'cut' as const), client }) },
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/** The TCP socket of a connection that has one. */
function wireOf({ here }: Client): NetSocket | undefined {
  const transport = here.conn.transport as unknown as { socket?: { _socket: NetSocket | null } };
  return transport.socket?._socket ?? undefined;
}

function beforeWrites(one: Client, listen: () => void): void {
  const wire = wireOf(one);
  if (!wire) return;
  replaceWrites(wire, (write) => {
    listen();
    return write();
  });
}

/** The events that each client must get, in order, by the rooms of the moment at which each was sent. */
class Model {
  readonly expected: number[][];
  readonly listeners: number[];
  readonly overheard: number[];
  readonly gone = new Set<number>();
  private readonly rooms = new Map<string, Set<number>>(ROOMS.map((name) => [name, new Set()]));

  constructor(count: number) {
    this.expected = Array.from({ length: count }, () => []);
    this.listeners = Array.from({ length: count }, () => 0);
    this.overheard = [...this.listeners];
  }

  join(index: number, name: string): void {
    if (!this.gone.has(index)) this.rooms.get(name)?.add(index);
  }

  leave(index: number, name: string): void {
    this.rooms.get(name)?.delete(index);
  }

  lose(index: number): void {
    this.gone.add(index);
    for (const members of this.rooms.values()) members.delete(index);
  }

  sent(name: string, n: number, except: number | null): void {
    for (const index of this.rooms.get(name) ?? []) this.emitted(index, index === except ? -n : n);
  }

  emitted(index: number, n: number): void {
    if (this.gone.has(index)) return;
    this.expected[index]?.push(n);
    this.noticed(index);
  }

  noticed(index: number): void {
    this.overheard[index] = (this.overheard[index] ?? 0) + (this.listeners[index] ?? 0);
  }
}

function run({ sender, clients }: Bench, model: Model, act: Action, n: number): void {
  const who = 'client' in act ? clients[act.client] : undefined;
  switch (act.kind) {
    case 'send': {
      const payload = { n, text: 'x'.repeat(act.bytes) };
      const excepted = act.except === null ? undefined : clients[act.except];
      const inRoom = excepted?.here.rooms.has(act.room);
      sender.send(
        act.room,
        { name: 'event', payload },
        excepted && inRoom
          ? { socketIds: [excepted.here.id], instead: { name: 'instead', payload: { n } } }
          : undefined,
      );
      return model.sent(act.room, n, act.except);
    }
    case 'attachment':
      sender.send(act.room, { name: 'event', payload: { n, blob: Buffer.from('binary') } });
      return model.sent(act.room, n, null);
    case 'emit':
      who?.here.emit('event' as never, { n } as never);
      return model.emitted(act.client, n);
    case 'volatile':
      // Whether it arrives is nobody's promise; where it arrives is.
      who?.here.volatile.emit('event' as never, { n } as never);
      return model.noticed(act.client);
    case 'join':
      if (!model.gone.has(act.client)) void who?.here.join(act.room);
      return model.join(act.client, act.room);
    case 'leave':
      void who?.here.leave(act.room);
      return model.leave(act.client, act.room);
    case 'busy':
      return who && wireOf(who)?.cork();
    case 'idle':
      return who && wireOf(who)?.uncork();
    case 'overhear':
      who?.here.onAnyOutgoing(() => {
        who.overheard += 1;
      });
      model.listeners[act.client] = (model.listeners[act.client] ?? 0) + 1;
      return;
    case 'disconnect':
      who?.here.disconnect(true);
      return model.lose(act.client);
    case 'cut': {
      // The other side notices in a later turn; for the model it is gone when this one has.
      who?.here.conn.close(true);
      return model.lose(act.client);
    }
    default: {
      const unreachable: never = act;
      return unreachable;
    }
  }
}

async function play(make: Make, turns: readonly (readonly Action[])[]): Promise<void> {
  try {
    await playOn(make, turns);
  } finally {
    await closeAll();
  }
}

async function playOn(make: Make, turns: readonly (readonly Action[])[]): Promise<void> {
  const bench = await startBench(make, [...TRANSPORTS, ...TRANSPORTS.slice(0, 2)]);
  const { clients } = bench;
  const model = new Model(clients.length);
  for (const index of clients.keys()) {
    run(bench, model, { kind: 'join', client: index, room: 'a' }, 0);
    if (index % 2 === 0) run(bench, model, { kind: 'join', client: index, room: 'b' }, 0);
  }
  let n = 0;
  const volatiles = new Set<number>();
  for (const turn of turns) {
    for (const [place, act] of turn.entries()) {
      // A listener added in the middle of a turn may hear of events sent before.
      if (act.kind === 'overhear' && place > 0) continue;
      n += 1;
      if (act.kind === 'volatile') volatiles.add(n);
      run(bench, model, act, n);
    }
    await new Promise(setImmediate);
  }
  const last = n + 1;
  for (const [index, one] of clients.entries()) {
    const wire = wireOf(one);
    while (wire && wire.writableCorked > 0) wire.uncork();
    run(bench, model, { kind: 'emit', client: index }, last);
  }
  await until(
    'the last event is everywhere',
    () => clients.every(({ got }, index) => model.gone.has(index) || got.at(-1) === last),
    8_000,
  );
  for (const [index, { got, overheard }] of clients.entries()) {
    const sizes = got.map(Math.abs);
    expect(sizes, 'in the order of the emits').toEqual(sizes.toSorted((a, b) => a - b));
    const certain = got.filter((number) => !volatiles.has(number));
    const expected = model.expected[index] ?? [];
    expect(certain).toEqual(model.gone.has(index) ? expected.slice(0, certain.length) : expected);
    if (!model.gone.has(index)) expect(overheard).toBe(model.overheard[index]);
  }
}

describe.each(Object.entries(SENDERS))('%s', (_, make) => {
  test('every client gets what was sent to its rooms, once, in order, whatever else goes on (G32)', async () => {
    const script = fc.array(fc.array(action, { maxLength: 12 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(script, async (turns) => play(make, turns)),
      {
        numRuns: Number(process.env['RUNS'] ?? 25),
        ...(process.env['SEED'] ? { seed: Number(process.env['SEED']) } : {}),
      },
    );
  }, 600_000);
});

async function writesOf({ metrics }: { metrics: RelayMetrics }): Promise<Record<string, number>> {
  const { values } = (await metrics.registry.getSingleMetric('groupcast_relay_fan_out_writes_total')?.get()) ?? {};
  return Object.fromEntries(values?.map(({ labels, value }) => [labels['path'], value]) ?? []);
}

test('a WebSocket that keeps up is written to directly, and a polling connection by the stock path', async () => {
  const deps = makeDeps();
  const { sender, clients } = await startBench(
    (io) => createBatchingSender(io, deps),
    [['websocket'], ['polling'], ['websocket']],
  );
  const idle: RelaySocket[] = [];
  deps.slowConsumers.wroteDirectly = (socket) => void idle.push(socket);
  for (const { here } of clients) void here.join('a');
  for (let n = 1; n <= 3; n += 1) sender.send('a', { name: 'event', payload: { n } });
  await until('the events are everywhere', () => clients.every(({ got }) => got.length === 3));
  expect(await writesOf(deps)).toEqual({ direct: 2, queued: 0, stock: 1, gone: 0 });
  expect(idle).toEqual([clients[0]?.here, clients[2]?.here]);
});

test('how long the writes of a turn took is observed once, however many members and events there are', async () => {
  const deps = makeDeps();
  let clock = 0;
  const slow: Make = (io) => createBatchingSender(io, deps, () => (clock += 1));
  const observe = vi.spyOn(deps.metrics.hopLag, 'observe');
  const { sender, clients } = await startBench(
    slow,
    Array.from({ length: 5 }, () => ['websocket' as const]),
  );
  for (const { here } of clients) void here.join('a');
  for (let n = 1; n <= 3; n += 1) sender.send('a', { name: 'event', payload: { n } });
  await until('the events are everywhere', () => clients.every(({ got }) => got.length === 3));
  expect(observe).toHaveBeenCalledExactlyOnceWith({ hop: 'written' }, expect.any(Number));
  // By a clock that goes on by a millisecond with each look at it.
  const [[, seconds] = []] = observe.mock.calls;
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThan(0.1);
});

describe('the events of one turn for a WebSocket that is busy', () => {
  const COUNT = 20;

  async function sendWhileBusy(bytes: number, options?: Partial<ServerOptions>) {
    const deps = makeDeps();
    const { sender, clients } = await startBench((io) => createBatchingSender(io, deps), [['websocket']], options);
    const [member] = clients;
    const wire = member && wireOf(member);
    if (!wire) throw new Error('no client');
    void member.here.join('a');
    wire.cork();
    // The engine hands this packet over, and keeps back the next ones until it is out.
    member.here.emit('event' as never, { n: 0 } as never);
    for (let n = 1; n <= COUNT; n += 1) sender.send('a', { name: 'event', payload: { n, text: 'x'.repeat(bytes) } });
    await new Promise(setImmediate);
    const queued = (member.here.conn as unknown as { writeBuffer: unknown[] }).writeBuffer.length;
    wire.uncork();
    await until('all events', () => member.got.length > COUNT);
    expect(member.got).toEqual(Array.from({ length: COUNT + 1 }, (_, n) => n));
    return { queued, writes: await writesOf(deps) };
  }

  test('is one packet of its engine', async () => {
    const { queued, writes } = await sendWhileBusy(10);
    expect(queued).toBe(1);
    expect(writes).toEqual({ direct: 0, queued: 1, stock: 0, gone: 0 });
  });

  test('is a few where it is much', async () => {
    const { queued } = await sendWhileBusy(20_000);
    // Three of them have a buffer.
    expect(queued).toBe(Math.ceil(COUNT / 3));
  });

  test('is one for each event where its engine compresses', async () => {
    const { queued, writes } = await sendWhileBusy(2_000, { perMessageDeflate: { threshold: 1_000 } });
    expect(queued).toBe(COUNT);
    expect(writes).toEqual({ direct: 0, queued: 0, stock: 1, gone: 0 });
  });
});

test('a direct write does not overtake what the engine has queued since the last one (G32)', async () => {
  const { sender, clients } = await startBench(SENDERS.gathered, [['websocket']]);
  const [member] = clients;
  if (!member) throw new Error('no client');
  const emit = (n: number): unknown => member.here.emit('event' as never, { n } as never);
  const send = (n: number): void => void sender.send('a', { name: 'event', payload: { n } });
  void member.here.join('a');
  send(1);
  await until('the first event', () => member.got.length === 1);
  // The first is on the wire, and the socket has nothing left of it; the second waits until the engine hears that.
  emit(2);
  emit(3);
  send(4);
  emit(5);
  send(6);
  await until('all events', () => member.got.length === 6);
  expect(member.got).toEqual([1, 2, 3, 4, 5, 6]);
});

describe.each(['websocket', 'polling'])('over %s, a connection that cannot be written to', (transport) => {
  test('is closed, and the others get what was sent', async () => {
    const errors: { socketId?: string }[] = [];
    const log = pino({ level: 'error' }, { write: (line: string) => void errors.push(JSON.parse(line)) });
    const { sender, clients } = await startBench(
      (io) => createBatchingSender(io, { ...makeDeps(), log }),
      Array.from({ length: 5 }, () => [transport]),
    );
    const [first, ...rest] = clients;
    const bad = rest.splice(0, 2);
    const good = [first, ...rest];
    for (const { here } of clients) void here.join('a');
    let attempts = 0;
    const fail = (): never => {
      attempts += 1;
      throw new Error('it does not take anything');
    };
    for (const one of bad) {
      const wire = wireOf(one);
      if (wire) replaceWrites(wire, fail);
      else (one.here.client as unknown as { writeToEngine: unknown }).writeToEngine = fail;
    }
    const lost = bad.map(async ({ there }) => received(there, 'disconnect'));
    for (const n of [1, 2]) {
      sender.send('a', { name: 'event', payload: { n } });
      await new Promise(setImmediate);
    }
    await Promise.all(lost);
    await until('the others to have both', () => good.every((one) => one?.got.length === 2));
    expect(bad.flatMap(({ got }) => got)).toEqual([]);
    expect(attempts).toBe(bad.length);
    // It is logged once a minute, however many there are.
    expect(errors).toMatchObject([{ socketId: bad[0]?.here.id, err: { message: 'it does not take anything' } }]);
  });

  test('throws nothing at the code that writes to it', async () => {
    const { sender, clients } = await startBench(SENDERS.gathered, [[transport]]);
    const [bad] = clients;
    if (!bad) throw new Error('no client');
    void bad.here.join('a');
    const { client: its } = bad.here as unknown as { client: { writeToEngine: unknown } };
    const wire = wireOf(bad);
    const lost = received(bad.there, 'disconnect');
    sender.send('a', { name: 'event', payload: { n: 1 } });
    let count = 0;
    const fail = (): never => {
      count += 1;
      throw new Error('it does not take anything');
    };
    if (wire) replaceWrites(wire, fail);
    else its.writeToEngine = fail;
    // The engine asks for pending events to be written first.
    bad.here.conn.write('2["event",{"n":2}]');
    expect(count).toBe(1);
    await lost;
  });
});

test('a connection whose write fails is closed', async () => {
  const { sender, clients } = await startBench(SENDERS.gathered, [['websocket']]);
  const [member] = clients;
  const wire = member && wireOf(member);
  if (!wire) throw new Error('no WebSocket');
  void member.here.join('a');
  replaceWrites(wire, () => -constants.errno.EPIPE);
  const left = new Promise((resolve) => member.here.once('disconnect', resolve));
  sender.send('a', { name: 'event', payload: { n: 1 } });
  expect(await left).toMatch(/^transport (close|error)$/);
  expect(wire.destroyed).toBe(true);
});

describe.each(Object.keys(SENDERS))('%s: one that does not read', (kind) => {
  const CAP = 65_536;

  /** A connection that is watched as the relay does, whose client does not read. */
  async function startSlow(): Promise<{
    sender: Sender;
    member: Client;
    /** The names of the events it got. */
    names: string[];
    wire: NetSocket;
    isCut: () => boolean;
    aboveCap: () => Promise<number | undefined>;
  }> {
    const metrics = createRelayMetrics();
    let isCut = false;
    const slowConsumers = createSlowConsumers({
      maxBufferedBytes: CAP,
      monitor: { publish: () => (isCut = true) } as unknown as MonitorFeed,
      metrics,
      log: pino({ level: 'silent' }),
    });
    closing.push(async () => slowConsumers.stop());
    const { sender, clients } = await startBench(
      (io) => {
        io.on('connection', (socket) => {
          socket.data.session = { kind: 'user', userId: 'u' } as Session;
          slowConsumers.watch(socket);
        });
        return kind === 'stock'
          ? createStockSender(io, createMarks())
          : createBatchingSender(io, { ...makeDeps(), slowConsumers, metrics });
      },
      [['websocket']],
    );
    const [member] = clients;
    if (!member) throw new Error('no client');
    const names: string[] = [];
    member.there.prependAny((name: string) => names.push(name));
    void member.here.join('a');
    const { _socket: wire } = (member.there.io.engine.transport as unknown as { ws: { _socket: NetSocket } }).ws;
    return {
      sender,
      member,
      names,
      wire: wire.pause(),
      isCut: () => isCut,
      async aboveCap() {
        const { values } = (await metrics.registry.getSingleMetric('groupcast_relay_send_backlog')?.get()) ?? {};
        return values?.find(({ labels }) => labels['of'] === 'connections')?.value;
      },
    };
  }

  test('has no gap in what it gets before it is cut', async () => {
    const { sender, member, names, wire, isCut } = await startSlow();
    const text = 'x'.repeat(60_000);
    for (let n = 0; !isCut() && n < 1_000; n += 1) {
      sender.send('a', { name: 'event', payload: { n, text } });
      await new Promise(setImmediate);
    }
    const lost = received(member.there, 'disconnect');
    wire.resume();
    await lost;
    expect(names.at(-1)).toBe('session-ending');
    const events = member.got.slice(0, -1);
    expect(events.length).toBeGreaterThan(0);
    expect(events).toEqual(events.map((_, index) => index));
  });

  test('is looked at after one burst, though nothing follows on it', async () => {
    const { sender, member, wire, aboveCap } = await startSlow();
    const text = 'x'.repeat(1_000_000);
    for (let n = 0; n < 20; n += 1) sender.send('a', { name: 'event', payload: { n, text } });
    await until('the look', async () => (await aboveCap()) === 1);
    wire.resume();
    await until('the burst', () => member.got.length === 20);
    await until('the other look', async () => (await aboveCap()) === 0);
  });
});

describe('a sweep', () => {
  /** Every look at the clock finds 4 ms gone. */
  async function startWith(count: number, transport: string): Promise<Bench> {
    let clock = 0;
    const slow: Make = (io) => createBatchingSender(io, makeDeps(), () => (clock += 4));
    return startBench(
      slow,
      Array.from({ length: count }, () => [transport]),
    );
  }

  /** Connections in the order in which they are written to. */
  async function recordWrites(count: number): Promise<Bench & { writes: number[] }> {
    const bench = await startWith(count, 'websocket');
    const writes: number[] = [];
    for (const [index, one] of bench.clients.entries()) {
      beforeWrites(one, () => writes.push(index));
    }
    return { ...bench, writes };
  }

  const LARGE = 200;

  test('over a large group lets a small group of the same turn have its share', async () => {
    const { sender, clients, writes } = await recordWrites(LARGE + 1);
    clients.forEach(({ here }, index) => void here.join(index < LARGE ? 'large' : 'small'));
    sender.send('large', { name: 'event', payload: { n: 1 } });
    sender.send('small', { name: 'event', payload: { n: 2 } });
    await until('the events are everywhere', () => writes.length === LARGE + 1);
    expect(writes.indexOf(LARGE)).toBeLessThan(LARGE / 2);
  });

  test('lets the process do other things, and takes along what comes meanwhile', async () => {
    const { sender, clients, writes } = await recordWrites(LARGE);
    for (const { here } of clients) void here.join('large');
    sender.send('large', { name: 'event', payload: { n: 1 } });
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    const before = writes.length;
    expect(before).toBeLessThan(LARGE / 2);
    sender.send('large', { name: 'event', payload: { n: 2 } });
    await until('the events are everywhere', () => clients.every(({ got }) => got.length === 2));
    expect(clients.map(({ got }) => got)).toEqual(clients.map(() => [1, 2]));
    // Only connections that had the first event already were written to once more.
    expect(writes.length).toBeLessThan(LARGE + 2 * before);
  });

  /** Sweeps over a group of which every write takes 4 µs. */
  async function recordQuickWrites(): Promise<Bench & { writes: number[] }> {
    let clock = 0;
    const quick: Make = (io) => createBatchingSender(io, makeDeps(), () => clock);
    const bench = await startBench(
      quick,
      Array.from({ length: LARGE }, () => ['websocket']),
    );
    const writes: number[] = [];
    for (const [index, one] of bench.clients.entries()) {
      beforeWrites(one, () => {
        clock += 0.004;
        writes.push(index);
      });
      void one.here.join('large');
    }
    return { ...bench, writes };
  }

  test('is short at first: the rest of a burst that comes message by message leaves with its beginning', async () => {
    const { sender, clients, writes } = await recordQuickWrites();
    for (let n = 1; n <= 3; n += 1) {
      sender.send('large', { name: 'event', payload: { n } });
      await new Promise(setImmediate);
    }
    await until('the events are everywhere', () => clients.every(({ got }) => got.length === 3));
    expect(clients.map(({ got }) => got)).toEqual(clients.map(() => [1, 2, 3]));
    // With one long sweep after each message it would be three times as many as there are members.
    expect(writes.length).toBeLessThan(1.5 * LARGE);
  });

  test('goes on with the oldest events while somebody publishes in every turn', async () => {
    const { sender, clients, writes } = await recordQuickWrites();
    let turns = 0;
    while (new Set(writes).size < LARGE) {
      turns += 1;
      sender.send('large', { name: 'event', payload: { n: turns } });
      await new Promise(setImmediate);
    }
    // 32 connections in each turn, and at first only one.
    expect(turns).toBeLessThanOrEqual(Math.ceil(LARGE / 32) + 1);
    await until('the events are everywhere', () => clients.every(({ got }) => got.length === turns));
  });

  test('tells for how long the oldest pending event has waited', async () => {
    // Every write takes a millisecond, so a sweep stops after the 32 that it does between two looks at the clock.
    const STEP = 32;
    let clock = 0;
    const { sender, clients } = await startBench(
      (io) => createBatchingSender(io, makeDeps(), () => clock),
      Array.from({ length: 4 * STEP }, () => ['websocket']),
    );
    for (const [index, one] of clients.entries()) {
      beforeWrites(one, () => (clock += 1));
      void one.here.join(index < STEP ? 'small' : index % 2 === 0 ? 'large' : 'other');
    }
    sender.send('small', { name: 'event', payload: { n: 1 } });
    expect(sender.lagMs()).toBe(0);
    await new Promise(setImmediate);
    // Everybody has it.
    expect(clock).toBe(STEP);
    expect(sender.lagMs()).toBe(0);
    await new Promise(setImmediate);

    sender.send('large', { name: 'event', payload: { n: 2 } });
    await new Promise(setImmediate);
    expect(sender.lagMs()).toBe(STEP);
    sender.send('other', { name: 'event', payload: { n: 3 } });
    await new Promise(setImmediate);
    expect(sender.lagMs()).toBe(2 * STEP);
    await until('the events are everywhere', () => clients.every(({ got }) => got.length === 1));
    expect(sender.lagMs()).toBe(0);
  });

  test('does not last longer where each has many packets to be written one by one', async () => {
    const count = 20;
    const events = 100;
    const { sender, clients } = await startWith(count, 'polling');
    for (const { here } of clients) void here.join('large');
    for (let n = 1; n <= events; n += 1) sender.send('large', { name: 'event', payload: { n } });
    await new Promise(setImmediate);
    const begun = clients.filter(({ here }) => (here.conn as unknown as { writeBuffer: unknown[] }).writeBuffer.length);
    expect(begun.length).toBeGreaterThan(0);
    expect(begun.length).toBeLessThan(count / 2);
    await until('the events are everywhere', () => clients.every(({ got }) => got.length === events));
  });
});
