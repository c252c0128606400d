/**
 * Gathers questions and answers them together. A question that comes alone is asked at the end of the turn; those that follow within
 * `intervalMs` wait for the end of it, so that a storm of clients is a few requests a second. `load` gets at most `maxItems`, weighing at
 * most `maxWeight` together (one item may weigh more), and returns one result per item, in order; if it throws, all are rejected.
 */
export function createRequestBatcher<Item, Result>(
  limits: { maxItems: number; maxWeight: number; weigh: (item: Item) => number; intervalMs: number },
  load: (items: readonly Item[]) => Promise<readonly Result[]>,
): (item: Item) => Promise<Result> {
  interface Waiting {
    item: Item;
    resolve: (result: Result) => void;
    reject: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let flushedAt = Number.NEGATIVE_INFINITY;

  async function run(chunk: readonly Waiting[]): Promise<void> {
    try {
      const results = await load(chunk.map(({ item }) => item));
      for (const [index, { resolve }] of chunk.entries()) resolve(results[index] as Result);
    } catch (error) {
      for (const { reject } of chunk) reject(error);
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

  return async (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (waiting.length > 1) return;
      const wait = flushedAt + limits.intervalMs - performance.now();
      if (wait <= 0) setImmediate(flush);
      else setTimeout(flush, wait);
    });
}
