import type { MemberChange } from '@groupcast/shared';
import type { MemberChanges, NotifyCommand } from '../broadcast/member-changes.ts';
import type { ChangeLog } from './change-log.ts';
import type { NodeLeases } from './node-leases.ts';
import type { NodeRequests } from './node-requests.ts';

/** All relays as one, for what is said about users. */
export interface Relays {
  /**
   * Resolves once the change holds on every relay, with how many connections it was about. Rejects with `BROKER_UNAVAILABLE` while a
   * relay that may have connections cannot be reached; the change is stored all the same, and the same again does no harm.
   */
  carryOut(change: MemberChange): Promise<{ connections: number }>;
  /** Answers how many connections it reached. */
  notify(command: NotifyCommand): Promise<number>;
  /** No other relay has stopped counting on this one: it may hand out what the shared log cannot confirm at the moment. */
  isTrusted: () => boolean;
}

export function createSingleRelay(changes: MemberChanges): Relays {
  return {
    carryOut: async (change) => ({ connections: await changes.carryOut(change) }),
    notify: async (command) => changes.notify(command),
    isTrusted: () => true,
  };
}

export function createManyRelays(deps: {
  changes: MemberChanges;
  changeLog: ChangeLog;
  requests: NodeRequests;
  leases: NodeLeases;
}): Relays {
  const { changes, changeLog, requests, leases } = deps;
  requests.answer('reached', async ({ id }: { id: string }) => changeLog.reached(id));
  requests.answer('notify', async (command: NotifyCommand) => ({ connections: changes.notify(command) }));
  const sum = (answers: readonly object[]): number =>
    answers.reduce((total, answer) => total + Number((answer as { connections?: unknown }).connections ?? 0), 0);

  return {
    async carryOut(change) {
      const id = await changeLog.append(change);
      const here = await changeLog.reached(id);
      return { connections: here.connections + sum(await requests.ask('reached', { id })) };
    },
    async notify(command) {
      return changes.notify(command) + sum(await requests.ask('notify', command));
    },
    isTrusted: leases.held,
  };
}
