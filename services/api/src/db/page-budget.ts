/** Most bytes of one page, counted by its rows as text. */
export const MAX_PAGE_BYTES = 262_144;
/** Rows of the first chunk, before anything is known of their size. */
const FIRST_CHUNK = 16;
/** Factor by which a chunk may be larger than the one before it, since its rows may be larger too. */
const GROWTH = 4;

export interface Sized {
  bytes: number;
}

export interface Chunk<R> {
  /** The row after which the chunk begins. */
  last: R | undefined;
  count: number;
  /** Rows may be left out where those before them in the chunk have more than this together; the first one may not. */
  maxBytes: number;
}

/** How many rows to ask for next, where `rows` have `bytes` together: about those that fit, and never many more than came before. */
export function nextChunk(rows: number, bytes: number, limits: { count: number; maxBytes: number }): number {
  if (rows === 0) return Math.min(FIRST_CHUNK, limits.count);
  const fitting = Math.ceil((limits.maxBytes - bytes) / Math.max(1, bytes / rows)) + 1;
  return Math.max(1, Math.min(limits.count - rows, rows * GROWTH, fitting));
}

/**
 * Reads up to `limit` rows that have `maxBytes` together, one at least, a chunk at a time: what does not fit is hardly loaded.
 * `more` says whether there are further rows.
 */
export async function readPageWithin<R extends Sized>(
  limits: { limit: number; maxBytes?: number },
  read: (chunk: Chunk<R>) => Promise<R[]>,
): Promise<{ rows: R[]; more: boolean }> {
  const { limit, maxBytes = MAX_PAGE_BYTES } = limits;
  const rows: R[] = [];
  let bytes = 0;
  for (;;) {
    // One more than the limit says whether there is more.
    const count = nextChunk(rows.length, bytes, { count: limit + 1, maxBytes });
    const chunk = await read({ last: rows.at(-1), count, maxBytes: Math.max(0, maxBytes - bytes) });
    for (const row of chunk) {
      if (rows.length === limit || (rows.length > 0 && bytes + row.bytes > maxBytes)) return { rows, more: true };
      rows.push(row);
      bytes += row.bytes;
    }
    // SQL leaves out what does not fit; behind a first row that is larger than a page, that is all.
    if (chunk.length === 0 || (chunk.length < count && bytes <= maxBytes)) return { rows, more: false };
  }
}
