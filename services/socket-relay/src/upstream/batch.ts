/**
 * Collects what is asked in one turn of the event loop and answers it together: `load` gets at most `maxItems`, weighing at most
 * `maxWeight` together (one item may weigh more), and returns one result per item, in order; when it throws, all are rejected.
 */
export function createBatch<Item, Result>(
  limits: { maxItems: number; maxWeight: number; weigh: (item: Item) => number },
  load: (items: readonly Item[]) => Promise<readonly Result[]>,
): (item: Item) => Promise<Result> {
  interface Waiting {
    item: Item;
    resolve: (result: Result) => void;
    reject: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];

  async function run(chunk: readonly Waiting[]): Promise<void> {
    try {
      const results = await load(chunk.map(({ item }) => item));
      for (const [index, { resolve }] of chunk.entries()) resolve(results[index] as Result);
    } catch (error) {
      for (const { reject } of chunk) reject(error);
    }
  }

  function flush(): void {
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
      if (waiting.length === 0) setImmediate(flush);
      waiting.push({ item, resolve, reject });
    });
}
