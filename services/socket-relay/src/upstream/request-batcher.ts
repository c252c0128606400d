import { GroupcastError } from '@groupcast/shared';

export interface BatchLimits<Item> {
  /** Most items of one batch, and what they may weigh together. */
  maxItems: number;
  maxWeight: number;
  weigh: (item: Item) => number;
  /** How long questions after the first are gathered, in milliseconds. */
  intervalMs: number;
  /** Questions that are asked and not answered yet, and those with the same key among them. */
  maxAsked: number;
  maxAskedPerKey: number;
  keyOf: (item: Item) => string;
}

/** How long a client whose question is one too many is told to wait, in milliseconds. */
const RETRY_MS = 1_000;

/** Counts the questions that are not answered yet. Throws for one too many. */
function createTally<Item>(limits: BatchLimits<Item>): { add(item: Item): void; remove(item: Item): void } {
  const byKey = new Map<string, number>();
  let total = 0;
  return {
    add(item) {
      const key = limits.keyOf(item);
      const ofKey = byKey.get(key) ?? 0;
      const isOwn = ofKey >= limits.maxAskedPerKey;
      if (isOwn || total >= limits.maxAsked) {
        const why = isOwn ? 'too many of your questions wait for it' : 'too many questions wait for it';
        throw new GroupcastError(isOwn ? 'RATE_LIMITED' : 'API_UNAVAILABLE', `unable to ask the API; ${why}`, {
          retryAfterMs: RETRY_MS,
        });
      }
      byKey.set(key, ofKey + 1);
      total += 1;
    },
    remove(item) {
      const key = limits.keyOf(item);
      const left = (byKey.get(key) ?? 0) - 1;
      if (left > 0) byKey.set(key, left);
      else byKey.delete(key);
      total -= 1;
    },
  };
}

/**
 * Gathers questions and answers them together. A question that comes alone is asked at the end of the turn; those that follow within
 * `intervalMs` wait for the end of it, so that a storm of clients is a few requests a second. `load` gets at most `maxItems`, weighing at
 * most `maxWeight` together (one item may weigh more), and returns one result per item, in order; if it throws, all are rejected. While too
 * many questions wait for their answers, further ones are rejected at once.
 */
export function createRequestBatcher<Item, Result>(
  limits: BatchLimits<Item>,
  load: (items: readonly Item[]) => Promise<readonly Result[]>,
): (item: Item) => Promise<Result> {
  interface Waiting {
    item: Item;
    resolve: (result: Result) => void;
    reject: (error: unknown) => void;
  }
  const tally = createTally(limits);
  let waiting: Waiting[] = [];
  let flushedAt = Number.NEGATIVE_INFINITY;

  async function run(chunk: readonly Waiting[]): Promise<void> {
    try {
      const results = await load(chunk.map(({ item }) => item));
      for (const [index, { resolve }] of chunk.entries()) resolve(results[index] as Result);
    } catch (error) {
      for (const { reject } of chunk) reject(error);
    } finally {
      for (const { item } of chunk) tally.remove(item);
    }
  }

  function flush(): void {
    flushedAt = performance.now();
    let chunk: Waiting[] = [];
    let weight = 0;
    for (const next of waiting) {
      const more = limits.weigh(next.item);
      if (chunk.length >= limits.maxItems || (chunk.length > 0 && weight + more > limits.maxWeight)) {
        void run(chunk);
        chunk = [];
        weight = 0;
      }
      chunk.push(next);
      weight += more;
    }
    waiting = [];
    if (chunk.length > 0) void run(chunk);
  }

  return async (item) => {
    tally.add(item);
    return new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (waiting.length > 1) return;
      const wait = flushedAt + limits.intervalMs - performance.now();
      if (wait <= 0) setImmediate(flush);
      else setTimeout(flush, wait);
    });
  };
}
