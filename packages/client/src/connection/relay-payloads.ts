import type { GroupPosition, Position } from '@groupcast/shared';
import { parsePosition } from '@groupcast/shared/positions';
import { fieldsOf, parseEvent, parseId, parseList } from '../base/parse.ts';
import type { Page } from '../inbox/inbox.ts';

// Parsers of the relay's payloads. Entries that cannot be read are left out.

/** The relay's answer about one group, after a position that was sent to it. */
export type GroupAnswer =
  /** This connection is not in the group; `code` is the relay's reason, if it gave one. */
  | { kind: 'refused'; code: unknown }
  /** The events after the position, which the relay's log has. With `more` there are others behind them. */
  | { kind: 'recovered'; page: Page; more: boolean }
  /** The group's position without its events; `undefined` where the relay does not know it. */
  | { kind: 'stands'; position: Position | undefined; more: boolean };

/** An answer to `resume`, to `join-group`, or to the positions in the handshake. */
export function parseAnswer(value: unknown): GroupAnswer {
  const fields = fieldsOf(value);
  const error = fieldsOf(fields?.['error']);
  if (!fields || error) return { kind: 'refused', code: error?.['code'] };
  const more = fields['more'] === true;
  const position = parsePosition(fields['position']);
  if (!position || fields['recovered'] !== true) return { kind: 'stands', position, more };
  return {
    kind: 'recovered',
    page: { events: parseList(fields['events'], (item) => parseEvent(item)), position, more },
    more,
  };
}

/** The payload of `joined-groups`. */
export function parseJoined(payload: unknown): { groups: GroupPosition[]; undecided: string[] } {
  const fields = fieldsOf(payload);
  return {
    groups: parseList(fields?.['groups'], (item) => {
      const groupId = parseId(fieldsOf(item)?.['groupId']);
      return groupId === undefined
        ? undefined
        : { groupId, position: parsePosition(fieldsOf(item)?.['position']) ?? null };
    }),
    undecided: parseList(fields?.['undecided'], parseId),
  };
}

/** The `groups` of `resumed`, and of an answer to `resume`. */
export function parseAnswers(groups: unknown): Map<string, GroupAnswer> {
  const answers = new Map<string, GroupAnswer>();
  for (const [key, value] of Object.entries(fieldsOf(groups) ?? {})) {
    const groupId = parseId(key);
    if (groupId !== undefined) answers.set(groupId, parseAnswer(value));
  }
  return answers;
}
