/**
 * Collects what is asked in one turn of the event loop and answers it together: `load` gets at most `maxItems` and returns
 * one result per item, in order; when it throws, all of them are rejected.
 */
export function createBatch<Item, Result>(
  maxItems: number,
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
    const all = waiting;
    waiting = [];
    for (let from = 0; from < all.length; from += maxItems) void run(all.slice(from, from + maxItems));
  }

  return async (item) =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) setImmediate(flush);
      waiting.push({ item, resolve, reject });
    });
}
