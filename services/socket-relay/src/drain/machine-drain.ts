import { GroupcastError } from '@groupcast/shared';
import type { Endpoint } from '../ipc/endpoint.ts';
import type { Drain, DrainProgress } from './drain.ts';
import type { Returns } from './returned-users.ts';

/** The drain of a whole machine, whether one relay is on it or several workers. */
export interface MachineDrain {
  progress(): Promise<DrainProgress>;
  /** Starts as `Drain.start` does, for every worker, and returns at once how far it is. */
  begin(ms?: number): Promise<DrainProgress>;
  /** Resolves when the last connection of the machine is gone; rejects with `CONFLICT` if the drain is undone before. */
  finished(): Promise<DrainProgress>;
  /** Undoes as `Drain.undo` does, for every worker. */
  undo(): Promise<DrainProgress>;
  /** Returns how many of the moved connections have come back to other machines, and were recovered; `null` if nobody can say. */
  recovered(): Promise<number | null>;
}

/** How often the workers are asked how far they are, in milliseconds. */
const ASK_EVERY_MS = 100;

/** The drain of a relay that is alone on its machine. */
export function drainOfOne(drain: Drain, returns: Returns): MachineDrain {
  return {
    progress: async () => drain.progress(),
    async begin(ms) {
      void drain.start(ms).catch(() => undefined);
      return drain.progress();
    },
    // It joins the drain that runs.
    finished: async () => drain.start(),
    undo: async () => drain.undo(),
    recovered: returns.countOfDrain,
  };
}

/** The drain of all workers, asked through the primary by any one of them: the worker that is asked answers for the machine. */
export function drainOfAll(drain: Drain, returns: Returns, primary: Endpoint): MachineDrain {
  primary.answer('drain-progress', () => drain.progress());
  primary.answer('drain-begin', (ms?: number) => {
    void drain.start(ms).catch(() => undefined);
    return drain.progress();
  });
  primary.answer('drain-undo', () => drain.undo());
  primary.answer('drain-recovered', returns.countOfDrain);

  async function ask(what: string, ms?: number): Promise<DrainProgress> {
    return primary.ask<DrainProgress>(what, ms).catch((cause: unknown) => {
      throw new GroupcastError('INTERNAL', 'unable to drain; the primary process does not answer', { cause });
    });
  }
  return {
    progress: async () => ask('machine-drain-progress'),
    begin: async (ms) => ask('machine-drain-begin', ms),
    async finished() {
      for (;;) {
        const progress = await ask('machine-drain-progress');
        if (progress.state === 'drained') return progress;
        if (progress.state === 'serving') {
          throw new GroupcastError('CONFLICT', 'unable to finish the drain; it was undone');
        }
        await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
      }
    },
    async undo() {
      const progress = await ask('machine-drain-undo');
      if (progress.state === 'serving') return progress;
      throw new GroupcastError('CONFLICT', 'unable to undo the drain; a worker is stopping or does not answer');
    },
    recovered: async () => primary.ask<number | null>('machine-drain-recovered').catch(() => null),
  };
}

/** In the primary, all workers as one. Nothing is known of a worker that does not answer, so the machine is not drained. */
export function createWorkersDrain(deps: {
  /** Every worker there should be; `undefined` for one that is not ready. */
  workers: () => (Endpoint | undefined)[];
}): {
  ask(what: 'drain-progress' | 'drain-begin' | 'drain-undo', ms?: number): Promise<DrainProgress>;
  recovered(): Promise<number | null>;
  /** A worker has become ready: it joins the drain that runs. */
  join(worker: Endpoint): void;
} {
  let until: number | undefined;
  return {
    async ask(what, ms) {
      if (what === 'drain-begin') until ??= performance.now() + (ms ?? 0);
      if (what === 'drain-undo') until = undefined;
      const answers = await Promise.all(
        deps.workers().map(async (worker) => worker?.ask<DrainProgress>(what, ms).catch(() => undefined)),
      );
      const known = answers.filter((answer) => answer !== undefined);
      const sum = (of: 'total' | 'moved' | 'remaining'): number => known.reduce((all, answer) => all + answer[of], 0);
      const states = new Set(answers.map((answer) => answer?.state ?? 'draining'));
      const [state = 'drained'] = states;
      return {
        state: states.size > 1 ? 'draining' : state,
        total: sum('total'),
        moved: sum('moved'),
        remaining: sum('remaining'),
      };
    },
    async recovered() {
      const answers = await Promise.all(
        deps.workers().map(async (worker) => worker?.ask<number | null>('drain-recovered').catch(() => null)),
      );
      return answers.reduce<number | null>((sum, n) => (sum === null || n == null ? null : sum + n), 0);
    },
    join(worker) {
      if (until !== undefined) worker.tell('drain-begin', Math.max(0, until - performance.now()));
    },
  };
}
