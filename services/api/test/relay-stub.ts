import type { BatchItemResult, Broadcaster } from '@groupcast/broadcaster';
import { type BroadcastInput, GroupcastError, generationOf, type Position } from '@groupcast/shared';

/** A relay that keeps each group's log as the contract says, and misbehaves when told to. */
export function createRelayStub() {
  const heads = new Map<string, Position>();
  const seen = new Map<string, string>();
  const calls: string[] = [];
  const logs = new Map<string, { epoch: string; seq: number; id: string }[]>();
  let floor = 0;
  let withoutEveryone = false;
  let fault: ((input: BroadcastInput) => GroupcastError | undefined) | undefined;
  let hold: Promise<void> | undefined;

  function accept(input: BroadcastInput): BatchItemResult {
    const groupId = String(input.groupId);
    const { epoch = '', seq = 0, id } = input;
    const refused = fault?.(input);
    if (refused) return { ok: false, error: refused.toBody() };
    const head = heads.get(groupId);
    const key = `${groupId} ${epoch} ${seq}`;
    const fail = (code: 'CONFLICT' | 'POSITION_GAP'): BatchItemResult => ({
      ok: false,
      error: new GroupcastError(code, code, { details: { head } }).toBody(),
    });
    if (head && generationOf(epoch) <= generationOf(head.epoch)) {
      if (epoch !== head.epoch) return fail('CONFLICT');
      if (seq > head.seq + 1) return fail('POSITION_GAP');
      if (seq <= head.seq && seq > floor && seen.get(key) !== String(id)) return fail('CONFLICT');
    }
    const duplicate = head?.epoch === epoch && seq <= head.seq;
    if (!duplicate) {
      calls.push(`${input.event} ${seq}`);
      heads.set(groupId, { epoch, seq });
      seen.set(key, String(id));
      logs.set(groupId, [...(logs.get(groupId) ?? []), { epoch, seq, id: String(id) }]);
    }
    return {
      ok: true,
      id: String(id),
      groupId,
      position: { epoch, seq },
      duplicate,
      ...(duplicate && head ? { head } : {}),
      recipients: { connections: 1, nodes: 1 },
      warnings: [],
    };
  }

  const broadcaster: Broadcaster = {
    connected: true,
    async broadcastMessage(input) {
      const [result] = await broadcaster.broadcastBatch([input]);
      if (result?.ok) return result;
      const { code, message, ...options } = result?.error ?? { code: 'INTERNAL', message: '' };
      throw new GroupcastError(code, message, options);
    },
    async broadcastBatch(items) {
      await hold;
      return items.map(accept);
    },
    notifyUsers: async () => ({ recipients: 0 }),
    async addMembers({ userIds }) {
      calls.push(`add ${userIds.join()}`);
    },
    async removeMembers({ userIds, everyone }) {
      if (everyone && withoutEveryone) {
        // As a relay of the previous version says it.
        throw new GroupcastError('INVALID_PAYLOAD', 'unable to accept api-remove-members; userIds is missing');
      }
      calls.push(everyone ? 'remove everyone' : `remove ${userIds?.join()}`);
    },
    disconnectUsers: async () => ({ connections: 0 }),
    updateCursors: async () => undefined,
    getPresence: async ({ groupId }) => ({ groupId: String(groupId), users: [], numUsers: 0, numConnections: 0 }),
    getTrace: async () => {
      throw new GroupcastError('UNKNOWN_EVENT', 'unable to accept api-get-trace');
    },
    awaitDelivery: async () => {
      throw new GroupcastError('UNKNOWN_EVENT', 'unable to accept api-await-delivery');
    },
    close: async () => undefined,
  };
  return {
    broadcaster,
    calls,
    heads,
    /** The events that it has accepted of a group, duplicates left out. */
    logOf: (groupId: string) => logs.get(groupId) ?? [],
    /** It loses the end of a group's log, as after a failover that lost acknowledged writes. */
    lose(groupId: string, events: number) {
      const log = (logs.get(groupId) ?? []).slice(0, -events);
      const last = log.at(-1);
      if (!last) throw new Error('nothing would be left');
      logs.set(groupId, log);
      heads.set(groupId, { epoch: last.epoch, seq: last.seq });
    },
    /** It is of the previous version, which knows removals by name only. */
    knowNamesOnly() {
      withoutEveryone = true;
    },
    /** At or below, every position is a duplicate, whatever its id. */
    forgetBelow(seq: number) {
      floor = seq;
    },
    failWhen(next: typeof fault) {
      fault = next;
    },
    /** Every answer waits until the returned function is called. */
    holdAnswers(): () => void {
      let release = (): void => undefined;
      hold = new Promise((resolve) => {
        release = resolve;
      });
      return () => {
        hold = undefined;
        release();
      };
    },
  };
}
