import { GroupcastError } from '@groupcast/shared';
import { until } from '@groupcast/testing';
import { describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import type { NewMessage } from '../src/messages/message-store.ts';
import { createSaveQueue, type Saved } from '../src/messages/save-queue.ts';

interface Statement {
  waits: boolean;
  contents: string[];
  /** Answers it: everything is saved, but messages of the groups that are `busy`. */
  answer(busy?: readonly string[]): void;
  fail(error: Error): void;
}

/** A database in which nothing happens before the test says so. */
function createDatabase(kind: Database['kind'] = 'postgres') {
  const asked: Statement[] = [];
  const heads = new Map<string, number>();
  const query = async (_text: string, params: readonly unknown[] = []) => {
    const [waits, groupIds, , , , contents] = params as [boolean, string[], string[], string[], unknown, string[]];
    return new Promise((resolve, reject) => {
      asked.push({
        waits,
        contents,
        answer(busy = []) {
          const rows = groupIds.flatMap((groupId, index) => {
            if (busy.includes(groupId)) return [];
            const seq = (heads.get(groupId) ?? 0) + 1;
            heads.set(groupId, seq);
            return [{ place: index + 1, outcome: 'saved', epoch: '1-a', seq, created_at: new Date(0) }];
          });
          resolve({ rows, count: rows.length });
        },
        fail: reject,
      });
    });
  };
  const db = { kind, query } as unknown as Database;
  return {
    db,
    asked,
    /** Waits for the statement with this number, from 0. */
    statement: async (n: number): Promise<Statement> => until(`statement ${n}`, () => asked[n]),
  };
}

let ids = 0;
function message(groupId: string, content: string, clientMessageId?: string): NewMessage {
  ids += 1;
  return { id: `m${ids}`, groupId, senderId: 'alice', content, clientMessageId };
}

const codeOf = async (work: Promise<Saved>): Promise<string> =>
  work.then(
    (saved) => saved.kind,
    (error: unknown) => (error instanceof GroupcastError ? error.code : (error as Error).message),
  );

/** So that what promises have set off so far has happened. */
const turn = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('save queue', () => {
  test('messages of one group are saved in their order, one statement at a time, and share what comes meanwhile', async () => {
    const { db, asked, statement } = createDatabase();
    const queue = createSaveQueue({ db });
    const saved = ['one', 'two', 'three'].map(async (content) => queue.save(message('a', content)));
    expect(asked.map(({ contents }) => contents)).toEqual([['one']]);
    asked[0]?.answer();
    expect((await statement(1)).contents).toEqual(['two', 'three']);
    asked[1]?.answer();
    expect(await Promise.all(saved)).toMatchObject([{ seq: 1 }, { seq: 2 }, { seq: 3 }]);
    expect(asked).toHaveLength(2);
  });

  test('a message that spoils a shared statement fails alone, and the order of the others stays', async () => {
    const { db, statement } = createDatabase('embedded');
    const queue = createSaveQueue({ db });
    const first = queue.save(message('a', 'first'));
    const codes = ['one', 'bad', 'two'].map(async (content) => codeOf(queue.save(message('a', content))));
    const other = codeOf(queue.save(message('b', 'other')));
    (await statement(0)).answer();
    await first;
    const shared = await statement(1);
    expect(shared.contents).toEqual(['one', 'bad', 'two', 'other']);
    shared.fail(new Error('a constraint of the table'));
    const alone: string[] = [];
    for (let n = 2; n < 6; n += 1) {
      const { contents, answer, fail } = await statement(n);
      alone.push(...contents);
      if (contents[0] === 'bad') fail(new Error('a constraint of the table'));
      else answer();
    }
    expect(alone.filter((content) => content !== 'other')).toEqual(['one', 'bad', 'two']);
    expect(await Promise.all(codes)).toEqual(['saved', 'a constraint of the table', 'saved']);
    expect(await other).toBe('saved');
  });

  test('a database that goes away refuses all messages of the statement at once, and none is tried again', async () => {
    const { db, asked, statement } = createDatabase('embedded');
    const queue = createSaveQueue({ db });
    const first = queue.save(message('a', 'first'));
    const codes = ['a', 'b', 'a'].map(async (groupId) => codeOf(queue.save(message(groupId, 'lost'))));
    (await statement(0)).answer();
    await first;
    (await statement(1)).fail(new GroupcastError('API_UNAVAILABLE', 'away'));
    expect(await Promise.all(codes)).toEqual(Array.from({ length: 3 }, () => 'API_UNAVAILABLE'));
    await turn();
    expect(asked).toHaveLength(2);
  });

  test('the same client id comes into no statement twice', async () => {
    const { db, statement } = createDatabase('embedded');
    const queue = createSaveQueue({ db });
    const saved = [
      message('a', 'first'),
      message('a', 'one', 'k'),
      message('b', 'elsewhere', 'k'),
      message('a', 'again', 'k'),
      message('a', 'and on'),
    ].map(async (one) => queue.save(one));
    (await statement(0)).answer();
    const second = await statement(1);
    expect(second.contents).toEqual(['one', 'elsewhere']);
    second.answer();
    const third = await statement(2);
    expect(third.contents).toEqual(['again', 'and on']);
    third.answer();
    await Promise.all(saved);
  });

  test('messages of a group that somebody has locked are saved before later ones of the group', async () => {
    const { db, statement } = createDatabase();
    const queue = createSaveQueue({ db });
    // Three that wait for their groups leave one statement, which waits for none.
    const waiting = ['a', 'b', 'c'].map(async (groupId) => queue.save(message(groupId, groupId)));
    const early = queue.save(message('d', 'early'));
    const refused = await statement(3);
    expect(refused.waits).toBe(false);
    const late = queue.save(message('d', 'late'));
    refused.answer(['d']);
    const free = queue.save(message('e', 'free'));
    const passed = await statement(4);
    expect(passed).toMatchObject({ waits: false, contents: ['free'] });
    passed.answer();
    await free;
    (await statement(0)).answer();
    const retried = await statement(5);
    expect(retried).toMatchObject({ waits: true, contents: ['early', 'late'] });
    for (const n of [1, 2, 5]) (await statement(n)).answer();
    expect(await Promise.all([early, late])).toMatchObject([{ seq: 1 }, { seq: 2 }]);
    await Promise.all(waiting);
  });

  test('a message that waits too long in its line is refused, and is not saved later', async () => {
    const { db, asked, statement } = createDatabase('embedded');
    const queue = createSaveQueue({ db }, { maxWaitMs: 20 });
    const first = codeOf(queue.save(message('a', 'slow')));
    const error = await queue.save(message('a', 'late')).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'API_UNAVAILABLE', retryable: true, retryAfterMs: 1_000 });
    (await statement(0)).answer();
    // A message that is being saved by then is not refused: it may have been saved.
    expect(await first).toBe('saved');
    await turn();
    expect(asked).toHaveLength(1);
  });

  test('… also where its group was locked when its turn came', async () => {
    const { db, asked, statement } = createDatabase();
    const queue = createSaveQueue({ db }, { maxWaitMs: 40 });
    for (const groupId of ['a', 'b', 'c']) void queue.save(message(groupId, 'waits for its group'));
    const codes = ['d', 'd'].map(async (groupId) => codeOf(queue.save(message(groupId, 'turned away'))));
    (await statement(3)).answer(['d']);
    expect(await Promise.all(codes)).toEqual(['API_UNAVAILABLE', 'API_UNAVAILABLE']);
    for (const n of [0, 1, 2]) (await statement(n)).answer();
    await turn();
    expect(asked).toHaveLength(4);
  });

  test('… and where it was turned away only after that', async () => {
    const { db, asked, statement } = createDatabase();
    const queue = createSaveQueue({ db }, { maxWaitMs: 20 });
    for (const groupId of ['a', 'b', 'c']) void queue.save(message(groupId, 'waits for its group'));
    const code = codeOf(queue.save(message('d', 'turned away')));
    const other = codeOf(queue.save(message('d', 'behind it')));
    const slow = await statement(3);
    expect(await other).toBe('API_UNAVAILABLE');
    slow.answer(['d']);
    expect(await code).toBe('API_UNAVAILABLE');
    for (const n of [0, 1, 2]) (await statement(n)).answer();
    await turn();
    expect(asked).toHaveLength(4);
  });

  test.each([
    { what: 'messages', fits: 2_000, size: 1 },
    { what: 'characters', fits: 8, size: 1_048_576 },
  ])('no more $what may wait than fit, and as many as are gone fit again', async ({ fits, size }) => {
    const { db, asked, statement } = createDatabase('embedded');
    const queue = createSaveQueue({ db });
    const first = queue.save(message('a', 'first'));
    const content = 'x'.repeat(size);
    const waiting = Array.from({ length: fits }, async () => codeOf(queue.save(message('a', content))));
    expect(await codeOf(queue.save(message('a', content)))).toBe('API_UNAVAILABLE');
    expect(await codeOf(queue.save(message('b', content)))).toBe('API_UNAVAILABLE');
    (await statement(0)).answer();
    await first;
    await statement(1);
    const next = codeOf(queue.save(message('a', content)));
    let n = 1;
    const answering = setInterval(() => {
      const due = asked[n];
      if (!due) return;
      n += 1;
      due.answer();
    });
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['saved']));
    expect(await next).toBe('saved');
    clearInterval(answering);
  });
});
