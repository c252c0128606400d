import { createClient, type GroupcastClient, type GroupEvent } from '@groupcast/client';
import { groupcastKeys, type MessagePage, type MessagePages } from '@groupcast/client/react';
import { until } from '@groupcast/testing';
import { InfiniteQueryObserver, QueryClient, QueryObserver } from '@tanstack/react-query';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createQueryMirror, QUERY_DEFAULTS, type QueryMirror } from '../src/react/query-mirror.ts';
import { memoryLogger } from './manual-clock.ts';
import { type ScriptedServer, startScriptedServer } from './scripted-server.ts';

const LIST = 'GET /api/messaging/groups';
const MESSAGES = 'GET /api/messaging/groups/g/messages';

describe('a query cache beside a client', () => {
  let server: ScriptedServer;
  let client: GroupcastClient;
  let queries: QueryClient;
  let mirror: QueryMirror;
  let stop: () => void;

  beforeEach(async () => {
    server = await startScriptedServer();
    server.addGroup('g', 12);
    server.addGroup('h', 2);
    client = createClient({
      apiUrl: server.url,
      getToken: () => 'user token',
      autoConnect: true,
      reconnectMinMs: 20,
      reconnectMaxMs: 100,
      gapHoldMs: 40,
      pageSize: 5,
      logger: memoryLogger(),
    });
    queries = new QueryClient();
    mirror = createQueryMirror(client, queries);
    stop = mirror.start();
  });
  afterEach(async () => {
    stop();
    queries.clear();
    client.close();
    await server.close();
  });

  /** As `useMessages` does. */
  function look(groupId: string) {
    const observer = new InfiniteQueryObserver<MessagePage, Error, MessagePages, readonly unknown[], number | null>(
      queries,
      {
        ...QUERY_DEFAULTS,
        queryKey: groupcastKeys.messages(client, groupId),
        queryFn: async ({ pageParam }) => mirror.readMessages(groupId, pageParam),
        initialData: () => mirror.knownMessages(groupId),
        initialPageParam: null,
        getNextPageParam: ({ before }) => before,
      },
    );
    const leave = observer.subscribe(() => undefined);
    return { observer, leave, ready: async () => until('the messages', () => observer.getCurrentResult().isSuccess) };
  }
  function lookAtGroups() {
    const observer = new QueryObserver(queries, {
      ...QUERY_DEFAULTS,
      queryKey: groupcastKeys.groups(client),
      queryFn: mirror.readGroups,
      initialData: mirror.knownGroups,
    });
    observer.subscribe(() => undefined);
    return observer;
  }
  const cached = (groupId: string): MessagePages | undefined =>
    queries.getQueryData<MessagePages>(groupcastKeys.messages(client, groupId));
  const contents = (groupId: string): string[] =>
    cached(groupId)
      ?.pages.toReversed()
      .flatMap(({ messages }) => messages.map(({ content }) => content)) ?? [];
  const numbers = (groupId: string, from: number, to: number): string[] =>
    Array.from({ length: to - from + 1 }, (_, index) => `${groupId} ${from + index}`);
  const connected = async () => until('connected', () => client.connection.getSnapshot().state === 'connected');

  test('has the list of groups from the client’s own reading, and every event of every group', async () => {
    const groups = lookAtGroups();
    await until('the list', () => groups.getCurrentResult().isSuccess);
    await connected();
    expect(server.count(LIST)).toBe(1);
    server.publish('h');
    const summary = () => groups.getCurrentResult().data?.find(({ id }) => id === 'h');
    await until('the event', () => summary()?.lastMessage?.content === 'h 3');
    expect(groups.getCurrentResult().data).toBe(client.groups.getSnapshot().groups);
    await groups.refetch();
    expect(server.count(LIST)).toBe(2);
  });

  test('a list that cannot be read is an error, and no error any more once the client has read it', async () => {
    server.script.apiFailures = [500, 500];
    const groups = lookAtGroups();
    await until('the error', () => groups.getCurrentResult().isError);
    expect(groups.getCurrentResult().error).toMatchObject({ code: 'INTERNAL', retryable: true });
    await until('the list', () => groups.getCurrentResult().isSuccess);
  });

  test('pages by seq, as far back as there is something', async () => {
    const { observer, ready } = look('g');
    await ready();
    expect(contents('g')).toEqual(numbers('g', 8, 12));
    await observer.fetchNextPage();
    await observer.fetchNextPage();
    expect(contents('g')).toEqual(numbers('g', 1, 12));
    expect(cached('g')?.pageParams).toEqual([null, 8, 3]);
    expect(observer.getCurrentResult().hasNextPage).toBe(false);
    await observer.fetchNextPage();
    expect(server.count(MESSAGES)).toBe(3);
  });

  test('an event is in its own group’s entry whatever is on screen, and stays there when its page was on the way (G21)', async () => {
    const shown: GroupEvent[] = [];
    client.on('event', (event) => shown.push(event));
    const { observer, ready } = look('g');
    const other = look('h');
    await Promise.all([ready(), other.ready(), connected()]);
    other.leave();
    const older = observer.fetchNextPage();
    server.publish('g');
    server.publish('h');
    await older;
    await until('the events', () => shown.length === 2);
    expect(contents('g')).toEqual(numbers('g', 3, 13));
    expect(contents('h')).toEqual(numbers('h', 1, 3));
    server.publish('h');
    await until('one more', () => contents('h').length === 4);
    // A component that comes back finds it, without a request.
    const again = look('h');
    expect(again.observer.getCurrentResult().data?.pages[0]?.messages.at(-1)).toMatchObject({ content: 'h 4' });
    expect(server.count('GET /api/messaging/groups/h/messages')).toBe(1);
  });

  test('an own message is there at once, once, and keeps its key', async () => {
    const { ready } = look('g');
    await Promise.all([ready(), connected()]);
    const { clientMessageId, saved } = client.send('g', 'mine');
    const last = () => cached('g')?.pages[0]?.messages.at(-1);
    expect(last()).toMatchObject({ content: 'mine', status: 'sending', key: clientMessageId });
    await saved;
    await until('the answer', () => 'seq' in (last() ?? {}));
    expect(last()).toMatchObject({ content: 'mine', key: clientMessageId });
    expect(contents('g').filter((content) => content === 'mine')).toEqual(['mine']);
  });

  test('a page that cannot be read is an error with what was there; asked again, it comes', async () => {
    const { observer, ready } = look('g');
    await ready();
    await connected();
    server.script.apiFailures = [500];
    expect((await observer.fetchNextPage()).isFetchNextPageError).toBe(true);
    expect(contents('g')).toEqual(numbers('g', 8, 12));
    expect((await observer.fetchNextPage()).isError).toBe(false);
    expect(contents('g')).toEqual(numbers('g', 3, 12));
  });

  test('invalidated, everything that was there is read again', async () => {
    const { observer, ready } = look('g');
    await ready();
    await observer.fetchNextPage();
    await queries.invalidateQueries({ queryKey: groupcastKeys.all(client) });
    expect(contents('g')).toEqual(numbers('g', 3, 12));
    expect([server.count(MESSAGES), cached('g')?.pageParams]).toEqual([4, [null, 8]]);
  });

  test('a group that was started over has its new pages only', async () => {
    const { observer, ready } = look('g');
    await Promise.all([ready(), connected()]);
    await observer.fetchNextPage();
    server.addGroup('g', 6, '2-b');
    server.publish('g');
    await until('the new messages', () => contents('g').join() === numbers('g', 3, 7).join());
    expect(cached('g')?.pageParams).toEqual([null]);
  });

  test('a query that the cache drops is not listened to any more; a mirror may stop and start again', async () => {
    const { leave, ready } = look('g');
    await Promise.all([ready(), connected()]);
    stop();
    server.publish('g');
    await until('the event', () => client.group('g').getSnapshot()?.lastMessage?.content === 'g 13');
    expect(contents('g')).toEqual(numbers('g', 8, 12));
    stop = mirror.start();
    expect(contents('g').at(-1)).toBe('g 13');
    leave();
    queries.removeQueries({ queryKey: groupcastKeys.messages(client, 'g') });
    server.publish('g');
    await until('the event', () => client.group('g').getSnapshot()?.lastMessage?.content === 'g 14');
    expect(cached('g')).toBeUndefined();
  });

  test('numbers and strings are one key; two clients have two', async () => {
    expect(groupcastKeys.messages(client, 7)).toEqual(groupcastKeys.messages(client, '7'));
    const other = createClient({ apiUrl: server.url, getToken: () => null, autoConnect: false });
    expect(groupcastKeys.groups(other)).not.toEqual(groupcastKeys.groups(client));
    other.close();
  });
});
