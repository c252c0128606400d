import { GroupcastError, parseId } from '@groupcast/shared';
import type { ListCursor } from './group-list-store.ts';

/** A time as the database writes it. Years before 1 and after 9999 are valid in PostgreSQL or in JavaScript, but not in both. */
const TIME = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

/** Whether both read the text as the same time. They do not for the 30th of February, or for 24 o'clock. */
function isTime(text: string): boolean {
  const time = new Date(text);
  return TIME.test(text) && !Number.isNaN(time.getTime()) && time.toISOString().slice(0, 19) === text.slice(0, 19);
}

export function writeCursor({ activeKey, id }: ListCursor): string {
  return Buffer.from(JSON.stringify([activeKey, id])).toString('base64url');
}

/** Throws `INVALID_PAYLOAD` for everything that `writeCursor` does not write. */
export function readCursor(cursor: string): ListCursor {
  try {
    const [activeKey, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown[];
    const groupId = parseId(id);
    if (typeof activeKey === 'string' && isTime(activeKey) && groupId !== undefined && groupId === id)
      return { activeKey, id: groupId };
  } catch {
    // Falls through to the same refusal as any other cursor that is not ours.
  }
  throw new GroupcastError('INVALID_PAYLOAD', 'unable to read the page; cursor is not one of ours');
}
