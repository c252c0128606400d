import { GroupcastError, isJsonObject, type JsonObject, type Position } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';
import { groupNotFound } from './group-not-found.ts';

/** How an event changes which live connections are in the group. */
export interface MembershipEffect {
  add?: string[];
  remove?: string[];
  /** Removes everybody; `remove` names them for a relay of an earlier version, which does not know this. */
  everyone?: true;
}

export interface NewEvent {
  id: string;
  type: string;
  payload: JsonObject;
  effect?: MembershipEffect;
}

/** One event as it is stored. */
export interface StoredEvent extends NewEvent {
  seq: number;
}

/** Takes the next position of the group. Its row stays locked until the transaction ends, so positions follow the order of commits. */
export async function nextPosition(tx: Queryable, groupId: string): Promise<Position> {
  const { rows } = await tx.query<{ epoch: string; seq: number }>(
    `update groups set seq = seq + 1, active_at = now() where id = $1 and deleted_at is null returning epoch, seq`,
    [groupId],
  );
  const position = rows[0];
  if (!position) throw groupNotFound(groupId);
  return position;
}

/** Writes the events of groups, each in the transaction of the change that it tells of. */
export interface EventWriter {
  /**
   * The payload as it is stored. Throws what the relay would refuse, `PAYLOAD_TOO_LARGE` or `INVALID_PAYLOAD`, before the event has a
   * position.
   */
  encode(payload: JsonObject): string;
  /** Writes the event in the transaction that saves the change, so that both are there after the commit, or neither. Throws like `encode`. */
  append(tx: Queryable, groupId: string, seq: number, event: NewEvent): Promise<void>;
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
    encode,
    async append(tx, groupId, seq, { id, type, payload, effect }) {
      await tx.query('insert into events (group_id, seq, id, type, payload, effect) values ($1, $2, $3, $4, $5, $6)', [
        groupId,
        seq,
        id,
        type,
        encode(payload),
        effect ? JSON.stringify(effect) : null,
      ]);
    },
  };
}
