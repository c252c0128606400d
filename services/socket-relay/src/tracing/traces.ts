import {
  GroupcastError,
  type GroupEvent,
  type Position,
  type RelayTrace,
  TRACE_LIMITS,
  type TraceHop,
  type TraceQuery,
  type TraceRecipient,
  type UnknownRefusals,
} from '@groupcast/shared';
import type { GroupLog } from '../group-log/group-log.ts';
import { isBrokerAway } from '../nodes/broker-errors.ts';
import type { OtherNodes } from '../nodes/node-requests.ts';
import type { NodeRecipient, NodeTrace } from '../wire-format.ts';
import type { Acceptances } from './acceptances.ts';
import { askOthers } from './all-nodes.ts';
import { type Forgotten, judgeTrace } from './judge-trace.ts';
import { furthestOf, hasPassed, type NodeTraces } from './node-trace.ts';
import { summaryOf } from './verdict.ts';

/** Says for one event at which hop it is, and for whom. */
export interface Traces {
  trace(query: TraceQuery): Promise<RelayTrace>;
}

/** How long the other nodes may take, in milliseconds. */
const WITHIN_MS = 1_500;
/** Most users that are summed up, and most of one question to a node. */
const MAX_USERS = 10_000;
const PAGE = TRACE_LIMITS.userIds;
/** Traces under way at the same time. */
const MAX_AT_ONCE = 50;
/** Pages of the log in which an event is looked for by its id, the newest first, and events of one. */
const LOOK_BACK = { pages: 10, events: 1_000 };

const iso = (at: number): string => new Date(at).toISOString();

/** One event in the log of its group. `undefined`: the log does not have it, or cannot be read. */
interface InLog {
  head: Position | null;
  found: GroupEvent | undefined;
  forgotten: Forgotten | undefined;
  isAway: boolean;
}

export function createTraces(deps: {
  node: string;
  groupLog: Pick<GroupLog, 'read' | 'head'>;
  nodeTraces: NodeTraces;
  acceptances: Acceptances;
  otherNodes: OtherNodes;
  /** Names a group that may be meant, where nobody is in this one. */
  hintAt: (groupId: string) => string | undefined;
}): Traces {
  const { groupLog, nodeTraces, acceptances, otherNodes } = deps;

  /** Adds what only the node knows that took the event. */
  async function here(question: Parameters<NodeTraces['trace']>[0]): Promise<NodeTrace> {
    const own = await nodeTraces.trace(question);
    const id = own.id ?? question.id;
    const accepted = id === undefined ? undefined : acceptances.of(question.groupId, id);
    return accepted ? { ...own, accepted } : own;
  }

  otherNodes.answer('trace', async (question) => here(question));

  async function findAt(groupId: string, seq: number, head: Position): Promise<Pick<InLog, 'found' | 'forgotten'>> {
    const { events } = await groupLog.read(groupId, seq - 1, 1);
    const found = events.find((event) => event.seq === seq);
    // A log has no holes: each event up to its head was accepted.
    return { found, forgotten: found || seq > head.seq ? undefined : 'accepted' };
  }

  /** Looks through what the log has, newest first, since most traces are about what was said just now. */
  async function findById(groupId: string, id: string, head: Position): Promise<Pick<InLog, 'found' | 'forgotten'>> {
    let since = head.seq;
    let oldest = 0;
    for (let pages = 0; pages < LOOK_BACK.pages && since > oldest; pages += 1) {
      since = Math.max(0, since - LOOK_BACK.events);
      // There is most often one page.
      const { events, floor } = await groupLog.read(groupId, since, LOOK_BACK.events);
      const found = events.find((event) => event.id === id);
      if (found) return { found, forgotten: undefined };
      oldest = floor;
    }
    return { found: undefined, forgotten: Math.max(since, oldest) > 0 ? 'perhaps' : undefined };
  }

  async function findInLog({ groupId, id, seq, epoch }: TraceQuery): Promise<InLog> {
    try {
      const head = await groupLog.head(groupId);
      const nothing = { head, found: undefined, forgotten: undefined, isAway: false };
      if (!head || (epoch !== undefined && head.epoch !== epoch)) return nothing;
      const inLog = seq === undefined ? await findById(groupId, id ?? '', head) : await findAt(groupId, seq, head);
      return { ...nothing, ...inLog };
    } catch (error) {
      if (!isBrokerAway(error)) throw error;
      return { head: null, found: undefined, forgotten: undefined, isAway: true };
    }
  }

  /** Asks all nodes for everybody, page by page. */
  async function askAll(query: TraceQuery): Promise<{ nodes: NodeTrace[]; missing: string[]; broker: boolean }> {
    const { groupId, id, seq, epoch, userIds } = query;
    const question = { groupId, id, seq, epoch, userIds, limit: PAGE };
    const nodes = new Map<string, NodeTrace>();
    const missing = new Set<string>();
    let broker = true;
    let after: string | undefined;
    for (let users = 0; users < MAX_USERS; users += PAGE) {
      const asked = { ...question, after };
      // Each page begins where the last one ended.
      const [own, answered] = await Promise.all([
        here(asked),
        askOthers(otherNodes, 'trace', { payload: asked, withinMs: WITHIN_MS }),
      ]);
      for (const node of answered.missing) missing.add(node);
      broker = !answered.isAway;
      const pages = [own, ...answered.answers];
      for (const page of pages) {
        const known = nodes.get(page.node);
        nodes.set(page.node, known ? { ...page, recipients: [...known.recipients, ...page.recipients] } : page);
      }
      // Nodes have different users: the next page begins where the first of them had to stop.
      const ends = pages.filter(({ more }) => more).map(({ recipients }) => recipients.at(-1)?.userId);
      const [first] = ends.filter((end) => end !== undefined).toSorted();
      if (first === undefined) break;
      after = first;
    }
    return { nodes: [...nodes.values()], missing: [...missing], broker };
  }

  function mergeUsers(
    nodes: readonly NodeTrace[],
    { userIds, unasked }: { userIds: readonly string[] | undefined; unasked: Unasked },
  ): TraceRecipient[] {
    const users = new Map<string, NodeRecipient>();
    for (const { recipients } of nodes) {
      for (const each of recipients) {
        const known = users.get(each.userId);
        users.set(each.userId, known ? furthestOf(known, each) : each);
      }
    }
    for (const userId of userIds ?? []) {
      if (!users.has(userId)) users.set(userId, nowhere(userId, unasked));
    }
    const recipients = [...users.values()].map(({ isGone: _isGone, ...recipient }) => recipient);
    return recipients.toSorted((a, b) => (a.userId < b.userId ? -1 : 1));
  }

  async function trace(query: TraceQuery): Promise<RelayTrace> {
    const { head, found, forgotten, isAway } = await findInLog(query);
    // A node that was handed nothing knows by the position alone whether it has gone by.
    const { nodes, missing, broker } = await askAll({ ...query, seq: query.seq ?? found?.seq ?? undefined });
    const known = nodes.find(({ arrivedAt }) => arrivedAt !== undefined);
    const position = found ? { epoch: found.epoch ?? '', seq: found.seq ?? 0 } : (known?.position ?? null);
    const id = found?.id ?? known?.id ?? query.id;
    const event = found?.event ?? known?.event;
    const unasked = { missing, isAway: !broker, lost: lostOf(nodes, missing) };
    const recipients = mergeUsers(nodes, { userIds: query.userIds, unasked });
    const subject = { position, isKnown: Boolean(found ?? known), forgotten, head };
    const refusals = refusalsOf(nodes);
    const hops = hopsOf(nodes, { ...subject, recipients, unasked });
    const start = query.after === undefined ? 0 : recipients.findIndex(({ userId }) => userId > (query.after ?? ''));
    const page = start < 0 ? [] : recipients.slice(start, start + query.limit);
    const last = page.at(-1);
    const isMore = last !== undefined && last.userId !== recipients.at(-1)?.userId;
    return {
      groupId: query.groupId,
      ...(id === undefined ? {} : { id }),
      ...(event === undefined ? {} : { event }),
      position,
      hops,
      verdict: judgeTrace(query.groupId, {
        ...subject,
        nodes,
        recipients,
        missing,
        refusals,
        isNamed: query.userIds !== undefined,
        isAway: isAway || !broker,
        hintAt: deps.hintAt,
      }),
      nodes: nodes.map(({ node, members, arrivedAt }) => ({
        node,
        members,
        ...(arrivedAt === undefined ? {} : { arrivedAt: iso(arrivedAt) }),
      })),
      unreachable: missing,
      refusals,
      summary: summaryOf(recipients),
      recipients: page,
      ...(isMore ? { next: last.userId } : {}),
    };
  }

  let under = 0;
  return {
    async trace(query) {
      if (under >= MAX_AT_ONCE) {
        throw new GroupcastError('RATE_LIMITED', 'unable to trace; many traces are under way', {
          retryAfterMs: WITHIN_MS,
        });
      }
      under += 1;
      try {
        return await trace(query);
      } finally {
        under -= 1;
      }
    },
  };
}

/** The refusals of all nodes as one, the newest first. */
function refusalsOf(nodes: readonly NodeTrace[]): UnknownRefusals[] {
  const codes = new Map<string, NodeTrace['refused'][number]>();
  for (const { code, message, count, at } of nodes.flatMap(({ refused }) => refused)) {
    const known = codes.get(code);
    const isNewer = !known || at > known.at;
    codes.set(code, {
      code,
      message: isNewer ? message : known.message,
      count: count + (known?.count ?? 0),
      at: Math.max(at, known?.at ?? 0),
    });
  }
  return [...codes.values()].toSorted((a, b) => b.at - a.at).map((each) => ({ ...each, at: iso(each.at) }));
}

function hopsOfUnknown(head: Position | null, forgotten: Forgotten | undefined): TraceHop[] {
  const detail = head ? `the log stands at ${head.seq}` : 'no relay knows the event';
  if (forgotten !== 'accepted') return [{ hop: 'relay-accepted', ok: false, detail }];
  return [
    { hop: 'relay-accepted', ok: true, detail },
    { hop: 'published', ok: false, detail: 'no relay remembers it any more' },
  ];
}

/** The relays that could not be asked. `lost`: how many had the event, and are counted on no more. */
interface Unasked {
  missing: readonly string[];
  isAway: boolean;
  lost: number;
}

function lostOf(nodes: readonly NodeTrace[], missing: readonly string[]): number {
  const listened = nodes.find(({ accepted }) => accepted)?.accepted?.nodes ?? 0;
  // One that answers may have listened and had nobody.
  return Math.max(0, listened - nodes.length - missing.length);
}

/** A user of whom no relay that answered knows anything. */
function nowhere(userId: string, { missing, isAway, lost }: Unasked): TraceRecipient {
  if (isAway) {
    return {
      userId,
      state: 'node-unreachable',
      why: 'the other relays could not be asked: this one cannot reach Redis',
      fix: 'see whether Redis runs, and can be written to (npx groupcast doctor, with REDIS_URL)',
    };
  }
  if (missing.length > 0) {
    return {
      userId,
      state: 'node-unreachable',
      why: `it is connected to none of the relays that answered; ${missing.join(', ')} did not`,
      fix: 'see whether that relay runs (npx groupcast doctor, with every relay named): if it is frozen, restart it',
      ...(missing[0] === undefined ? {} : { node: missing[0] }),
    };
  }
  if (lost === 0) return { userId, state: 'offline', why: 'it is connected to no relay' };
  const those = lost === 1 ? 'a relay that had the event is' : `${lost} relays that had the event are`;
  return {
    userId,
    state: 'offline',
    why: `it is connected to no relay that answers; ${those} counted on no more: stopped, or frozen`,
    fix: 'see whether every relay runs (npx groupcast doctor, with every relay named); it gets the event when it comes back',
  };
}

function publishedTo(listening: number | undefined, isAway: boolean): string {
  if (isAway) return 'this relay cannot reach the others at present (Redis)';
  if (listening === undefined) return 'to the relays that listen to the group';
  return listening === 1 ? 'one relay listens to the group' : `${listening} relays listen to the group`;
}

function hopsOf(
  nodes: readonly NodeTrace[],
  {
    isKnown,
    forgotten,
    position,
    head,
    recipients,
    unasked,
  }: {
    isKnown: boolean;
    forgotten: Forgotten | undefined;
    position: Position | null;
    head: Position | null;
    recipients: readonly TraceRecipient[];
    unasked: Unasked;
  },
): TraceHop[] {
  if (!isKnown) return hopsOfUnknown(head, forgotten);
  const accepting = nodes.find(({ accepted }) => accepted);
  const arrivals = nodes.filter(({ arrivedAt }) => arrivedAt !== undefined);
  const acceptedAt = accepting?.accepted?.at;
  const since = (at: number, from: number | undefined): { ms?: number } =>
    from === undefined ? {} : { ms: Math.max(0, at - from) };
  const hops: TraceHop[] = [
    {
      hop: 'relay-accepted',
      ok: true,
      ...(acceptedAt === undefined ? {} : { at: iso(acceptedAt) }),
      ...(accepting ? { node: accepting.node } : {}),
      detail: position ? `in the log of the group at ${position.seq}` : 'an event without a position',
    },
  ];
  const listening = accepting?.accepted?.nodes;
  hops.push({
    hop: 'published',
    ok: !unasked.isAway,
    ...(listening === undefined ? {} : { count: listening }),
    detail: publishedTo(listening, unasked.isAway),
  });
  for (const { node, members, arrivedAt, cursor } of nodes) {
    if (arrivedAt === undefined && members === 0) continue;
    const hasGone = arrivedAt === undefined && position !== null && hasPassed(cursor, position);
    hops.push({
      hop: 'node-received',
      ok: arrivedAt !== undefined || hasGone,
      ...(arrivedAt === undefined ? {} : { at: iso(arrivedAt), ...since(arrivedAt, acceptedAt) }),
      node,
      count: members,
      detail:
        arrivedAt === undefined && !hasGone
          ? `stands at ${cursor?.seq ?? 'nothing'}`
          : members === 1
            ? 'one connection there'
            : `${members} connections there`,
    });
  }
  for (const node of unasked.missing) hops.push({ hop: 'node-received', ok: false, node, detail: 'does not answer' });
  const writtenTo = recipients.filter(({ state }) => state === 'written' || state === 'proven').length;
  const proven = recipients.filter(({ state }) => state === 'proven').length;
  const { length } = recipients;
  hops.push({
    hop: 'written',
    ok: arrivals.length > 0 && writtenTo === length,
    count: writtenTo,
    detail: `to ${writtenTo} of ${length} users`,
  });
  hops.push({
    hop: 'client-received',
    ok: length > 0 && proven === length,
    count: proven,
    detail: `proven for ${proven} of ${length} users`,
  });
  return hops;
}
