import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { pin } from '../pins.ts';
import type { CommandName, DriverCommands, Reply } from './commands.ts';

/** The suite's end of a driver process. */
export interface Driver {
  /** Rejects when a delivery was lost, doubled or out of place, and when the process ended. */
  ask<N extends CommandName>(name: N, input: DriverCommands[N]['input']): Promise<DriverCommands[N]['output']>;
  stop(): Promise<void>;
}

const PROCESS = fileURLToPath(new URL('process.ts', import.meta.url));

export function startDriver(options: { pinned: boolean } = { pinned: true }): Driver {
  const child = fork(PROCESS, [], { execArgv: ['--conditions=@groupcast/source', '--import', 'tsx'] });
  if (options.pinned && child.pid !== undefined) pin(child.pid, 'driver');
  const pending = new Map<number, (reply: Reply) => void>();
  let count = 0;
  child.on('message', (reply: Reply) => {
    pending.get(reply.id)?.(reply);
    pending.delete(reply.id);
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      for (const [id, settle] of pending) settle({ id, error: `a driver ended with ${code ?? signal}` });
      pending.clear();
      resolve();
    });
  });

  return {
    async ask<N extends CommandName>(name: N, input: DriverCommands[N]['input']) {
      count += 1;
      const id = count;
      const reply = await new Promise<Reply>((resolve, reject) => {
        pending.set(id, resolve);
        child.send({ id, name, input }, (error) => {
          if (error) reject(error);
        });
      });
      if ('error' in reply) throw new Error(`unable to ${name}; ${reply.error}`);
      return reply.output;
    },
    async stop() {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}
