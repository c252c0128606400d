// A driver: members and publisher of one server, in a process of its own, so that each has its own descriptors and its own heap.
import { setTimeout as pause } from 'node:timers/promises';
import { cpuNs } from '../processes.ts';
import type { Command, CommandName, DriverCommands, FloodResult, Reply } from './commands.ts';
import { type Groups, openGroups } from './groups.ts';
import { openRoom, type Room } from './room.ts';
import { openSecondRoom } from './second-room.ts';

/** How long a member may lack a message before it counts as lost, in milliseconds. */
const LOST_AFTER_MS = 30_000;

let room: Room | undefined;
let groups: Groups | undefined;
let failed: Error | undefined;
/** Rejects every wait for a delivery that will not come. */
let abort = (error: Error): void => {
  failed = error;
};

function onFailure(error: Error): void {
  failed ??= error;
  abort(error);
}

function current(): Room {
  if (failed) throw failed;
  if (!room) throw new Error('there is no room');
  return room;
}

async function flood({ burst, bytes, ms, pids }: DriverCommands['flood']['input']): Promise<FloodResult> {
  const { publish, settled } = current();
  const cpuBefore = pids.map(cpuNs);
  const driverBefore = cpuNs(process.pid);
  const startedAt = performance.now();
  let messages = 0;
  await new Promise<void>((resolve, reject) => {
    abort = reject;
    let lost = setTimeout(() => undefined, 0);
    const next = (): void => {
      clearTimeout(lost);
      if (messages > 0 && performance.now() - startedAt >= ms) {
        resolve();
        return;
      }
      messages += burst;
      lost = setTimeout(() => reject(new Error('a delivery is missing')), LOST_AFTER_MS);
      publish(burst, bytes, next);
    };
    next();
  });
  const wallMs = performance.now() - startedAt;
  await settled();
  return {
    messages,
    wallMs,
    cpuNs: pids.map((pid, index) => cpuNs(pid) - (cpuBefore[index] ?? 0)),
    driverCpuNs: cpuNs(process.pid) - driverBefore,
  };
}

async function pace({ perSecond, bytes, ms }: DriverCommands['pace']['input']): Promise<{ latenciesMs: number[] }> {
  const { publish, settled } = current();
  const latenciesMs: number[] = [];
  const total = Math.ceil((ms * perSecond) / 1_000);
  const broken = new Promise<never>((_resolve, reject) => {
    abort = reject;
  });
  const startedAt = performance.now();
  const all = new Promise<void>((resolve) => {
    const send = (n: number): void => {
      const sentAt = performance.now();
      publish(1, bytes, () => {
        latenciesMs.push(performance.now() - sentAt);
        if (latenciesMs.length === total) resolve();
      });
      if (n + 1 === total) return;
      const due = startedAt + ((n + 1) * 1_000) / perSecond;
      setTimeout(send, Math.max(0, due - performance.now()), n + 1);
    };
    send(0);
  });
  const late = pause(ms + LOST_AFTER_MS, undefined, { ref: false }).then(() => {
    throw new Error('a delivery is missing');
  });
  await Promise.race([all, broken, late]);
  await settled();
  return { latenciesMs };
}

const COMMANDS: {
  [N in CommandName]: (input: DriverCommands[N]['input']) => Promise<DriverCommands[N]['output']>;
} = {
  async open({ second, ...options }) {
    room = await (second ? openSecondRoom : openRoom)({ ...options, onFailure });
    return {};
  },
  async add({ members }) {
    await current().add(members);
    return {};
  },
  async flood(input) {
    return flood(input);
  },
  async pace(input) {
    return pace(input);
  },
  async 'open-groups'(input) {
    groups = await openGroups({ ...input, onFailure });
    return {};
  },
  async post(input) {
    if (failed) throw failed;
    if (!groups) throw new Error('there are no groups');
    const broken = new Promise<never>((_resolve, reject) => {
      abort = reject;
    });
    return Promise.race([groups.post(input), broken]);
  },
};

process.on('message', ({ id, name, input }: Command) => {
  const run = COMMANDS[name] as (given: object) => Promise<object>;
  run(input)
    .then(
      (output): Reply => ({ id, output }),
      (error: unknown): Reply => ({ id, error: error instanceof Error ? error.message : String(error) }),
    )
    .then((reply) => process.send?.(reply))
    .catch(() => process.exit(1));
});
// It ends with the suite that started it.
process.on('disconnect', () => process.exit());
