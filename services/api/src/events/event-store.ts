import { GroupcastError, isJsonObject, type JsonObject, type Position } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';
import { groupNotFound } from './group-not-found.ts';
import { headOf } from './history-rows.ts';
import type { NewEvent } from './stored-event.ts';

/**
 * Locks the group until the transaction ends. Every change takes this lock first, so that no two wait for each other, and positions follow the
 * order of commits. False where there is no such group, or it is deleted.
 */
export async function lockGroup(tx: Queryable, groupId: string): Promise<boolean> {
  const { rows } = await tx.query<{ deleted_at: Date | null }>('select deleted_at from lock_group($1)', [groupId]);
  return rows[0]?.deleted_at === null;
}

/** Writes the events of groups, each in the transaction of the change that it tells of. */
export interface EventWriter {
  /** Throws what the relay would refuse, `PAYLOAD_TOO_LARGE` or `INVALID_PAYLOAD`, before the event has a position. */
  assertRelayable(payload: JsonObject): void;
  /**
   * Writes the event at the next position of its group, which the caller has locked. It belongs in the transaction that saves the change, so
   * that both are there after the commit, or neither. Throws like `assertRelayable`.
   */
  append(tx: Queryable, groupId: string, event: NewEvent): Promise<Position>;
}

/** `maxPayloadBytes`: the largest payload, in bytes of UTF-8 JSON, as the relay counts it. */
export function createEventWriter(maxPayloadBytes: number): EventWriter {
  function encode(payload: JsonObject): string {
    if (!isJsonObject(payload)) {
      throw new GroupcastError('INVALID_PAYLOAD', 'unable to save; it is nested too deeply to be relayed');
    }
    const json = JSON.stringify(payload);
    const bytes = Buffer.byteLength(json);
    if (bytes > maxPayloadBytes) {
      throw new GroupcastError(
        'PAYLOAD_TOO_LARGE',
        `unable to save; the event has ${bytes} bytes, at most ${maxPayloadBytes} are allowed`,
        { details: { bytes, maxBytes: maxPayloadBytes } },
      );
    }
    return json;
  }

  return {
    assertRelayable: (payload) => void encode(payload),
    async append(tx, groupId, { id, type, payload, effect }) {
      const { rows } = await tx.query<{ epoch: string; seq: number }>(
        `with place as (
           select g.id, g.epoch, ${headOf('g')} + 1 as seq from groups g where g.id = $1
         ), opened as (
           insert into backlog (group_id) select id from place on conflict do nothing
         ), written as (
           insert into events (group_id, seq, id, type, payload, effect, created_at)
           select id, seq, $2, $3, $4, $5, date_trunc('milliseconds', clock_timestamp()) from place
         )
         select epoch, seq from place`,
        [groupId, id, type, encode(payload), effect ? JSON.stringify(effect) : null],
      );
      const position = rows[0];
      if (!position) throw groupNotFound(groupId);
      return position;
    },
  };
}
