import { GroupcastError, parseId } from '@groupcast/shared';
import type { ListCursor } from './group-list-store.ts';

/** As the database writes it. Years before 1 and after 9999 are times to PostgreSQL or to JavaScript, but not to both. */
const TIME = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

/** Whether both read it as a time, and as the same one: not the 30th of February, and not 24 o'clock. */
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
