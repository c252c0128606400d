import type { MemberChange } from '@groupcast/shared';
import type { MemberChanges } from '../membership/member-changes.ts';
import { cutOff } from '../nodes/broker-errors.ts';
import type { ChangeLog } from '../nodes/change-log.ts';
import type { NodeLeases } from '../nodes/node-leases.ts';
import type { NodeRequests } from '../nodes/node-requests.ts';
import type { NotifyCommand } from '../wire-format.ts';

/** All relays as one, for commands about users. */
export interface Relays {
  /**
   * Resolves once the change holds on every relay, with the number of connections that it was about. Rejects with `BROKER_UNAVAILABLE`
   * while a relay that may have connections cannot be reached. The change is stored all the same, and the same change again does no harm.
   */
  carryOut(change: MemberChange): Promise<{ connections: number }>;
  /** Returns how many connections it reached. */
  notify(command: NotifyCommand): Promise<number>;
  /** Whether no other relay has stopped counting on this one: then it may deliver events that the shared log cannot confirm at the moment. */
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
  for (const question of ['reached', 'reached-everyone'] as const) {
    requests.answer(question, async ({ id }) => changeLog.reached(id));
  }
  requests.answer('notify', async (command) => {
    if (!leases.held()) throw cutOff('notify users');
    return { connections: changes.notify(command) };
  });
  const sum = (answers: readonly { connections: number }[]): number =>
    answers.reduce((total, { connections }) => total + connections, 0);

  return {
    async carryOut(change) {
      const id = await changeLog.append(change);
      const here = await changeLog.reached(id);
      const question = change.kind === 'remove-everyone' ? 'reached-everyone' : 'reached';
      return { connections: here.connections + sum(await requests.ask(question, { id })) };
    },
    async notify(command) {
      if (!leases.held()) throw cutOff('notify users');
      return changes.notify(command) + sum(await requests.ask('notify', command));
    },
    isTrusted: leases.held,
  };
}
