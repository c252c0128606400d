import { GroupcastError } from '@groupcast/shared';
import { isTimeKey } from '../db/time-key.ts';

/** Where a page begins: behind the row with this time, by `timeKey`, and this id. */
export interface PageCursor {
  timeKey: string;
  id: string;
}

export function writeCursor({ timeKey, id }: PageCursor): string {
  return Buffer.from(JSON.stringify([timeKey, id])).toString('base64url');
}

/** Throws `INVALID_PAYLOAD` for everything that `writeCursor` does not write. `parse`: reads an id of the kind that the page has. */
export function readCursor(cursor: string, parse: (id: unknown) => string | undefined): PageCursor {
  try {
    const [timeKey, given] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown[];
    const id = parse(given);
    if (isTimeKey(timeKey) && id !== undefined && id === given) return { timeKey, id };
  } catch {
    // Falls through to the same refusal as any other cursor that is not ours.
  }
  throw new GroupcastError('INVALID_PAYLOAD', 'unable to read the page; cursor is not one of ours');
}
