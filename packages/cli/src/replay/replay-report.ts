import { createInbox, type Inbox, type Lag } from '@groupcast/client/inbox';
import { type DoctorEvent, type DoctorReport, type GroupEvent, type Position, relationOf } from '@groupcast/shared';

/** One group of a report, played through the client's inbox. Events are named by `seq`, in the order in which they came. */
export interface GroupReplay {
  groupId: string;
  accepted: number[];
  /** Dropped, because they were here before. */
  duplicates: number[];
  /** Still held at the end, because others are missing before them. */
  held: number[];
  /** Runs of missing events, up to the group's head. */
  missing: [first: number, last: number][];
  lag: Lag;
  /** How the page differs from what the inbox would have shown, one sentence each; none where it saw the same. */
  differences: string[];
}

type Placed = DoctorEvent & { groupId: string; position: Position };

const keyOf = ({ epoch, seq }: Position): string => `${epoch} ${seq}`;

const eventOf = ({ event, id, groupId, position }: Placed): GroupEvent => ({
  event,
  id: id ?? `${position.epoch}.${position.seq}`,
  groupId,
  ...position,
});

interface Played {
  accepted: Position[];
  duplicates: Position[];
  /** Events that the page got, in its order. */
  page: { position: Position; place: number }[];
}

/** Plays the events of a report, in the order in which they came, as the client would have taken them in. */
export function replayReport(report: DoctorReport): GroupReplay[] {
  const inbox = createInbox();
  const played = new Map<string, Played>();
  const recovered = new Map<string, Placed[]>();
  const playedOf = (groupId: string): Played => {
    const group = played.get(groupId) ?? { accepted: [], duplicates: [], page: [] };
    played.set(groupId, group);
    return group;
  };
  for (const { groupId } of report.groups) playedOf(groupId);
  begin(inbox, report);
  for (const [index, event] of report.events.entries()) {
    const { groupId, position } = event;
    if (event.direction !== 'in' || !groupId) continue;
    if (event.kind === 'left') inbox.close(groupId);
    if (!position) continue;
    const row = { ...event, groupId, position };
    if (event.kind === 'recovered') recovered.set(groupId, [...(recovered.get(groupId) ?? []), row]);
    const isEvent = event.kind === 'event' || event.kind === 'recovered' || event.kind === 'api';
    const place = report.source === 'client' ? event.shown : index;
    if (isEvent && place !== undefined) playedOf(groupId).page.push({ position, place });
    play(inbox, row, playedOf(groupId), recovered);
  }
  return [...played].map(([groupId, group]) => conclude(inbox, report, groupId, group));
}

/** Opens each group where the report's events begin: at its place then, or before the first event of the epoch that came first. */
function begin(inbox: Inbox, { groups, events }: DoctorReport): void {
  for (const { groupId, from } of groups) {
    const first = events.find((event) => event.groupId === groupId && event.position && event.kind !== 'head');
    const before = first?.position && { epoch: first.position.epoch, seq: Math.max(0, first.position.seq - 1) };
    const start = before && from?.epoch !== before.epoch ? before : from;
    if (start) inbox.open(groupId, start);
  }
}

function play(inbox: Inbox, row: Placed, group: Played, recovered: Map<string, Placed[]>): void {
  const { groupId, position } = row;
  const cursor = inbox.positionOf(groupId);
  const dropped = inbox.duplicates;
  switch (row.kind) {
    case 'event':
      group.accepted.push(...inbox.receive(eventOf(row)));
      if (inbox.duplicates > dropped) group.duplicates.push(position);
      return;
    case 'page': {
      const events = (recovered.get(groupId) ?? []).map(eventOf);
      recovered.delete(groupId);
      const due = cursor ? inbox.page(groupId, cursor, { events, position }) : inbox.open(groupId, position);
      const taken = new Set(due.map(keyOf));
      group.accepted.push(...due);
      group.duplicates.push(...events.filter((event) => !taken.has(keyOf(event))));
      return;
    }
    case 'api':
      if (cursor) group.accepted.push(...inbox.page(groupId, cursor, { events: [eventOf(row)], position }));
      return;
    case 'skip':
      group.accepted.push(...inbox.skip(groupId, position));
      return;
    case 'head':
      if (cursor) inbox.head(groupId, position);
      else group.accepted.push(...inbox.open(groupId, position));
      return;
    case 'recovered':
    case 'left':
    case 'answer':
      return;
    default: {
      const unreachable: never = row.kind;
      return unreachable;
    }
  }
}

function conclude(
  inbox: Inbox,
  report: DoctorReport,
  groupId: string,
  { accepted, duplicates, page }: Played,
): GroupReplay {
  const head = report.groups.find((group) => group.groupId === groupId)?.head;
  if (head) inbox.head(groupId, head);
  const cursor = inbox.positionOf(groupId);
  const shown = new Set(accepted.map(keyOf));
  const isBehind = (position: Position): boolean =>
    cursor !== null && ['behind', 'older'].includes(relationOf(cursor, position));
  const seen = page.toSorted((a, b) => a.place - b.place).map(({ position }) => position);
  const held = [...new Map(seen.map((position) => [keyOf(position), position])).values()].filter(
    (position) => !shown.has(keyOf(position)) && !isBehind(position),
  );
  return {
    groupId,
    accepted: accepted.map(({ seq }) => seq),
    duplicates: duplicates.map(({ seq }) => seq),
    held: held.map(({ seq }) => seq),
    missing: cursor && head?.epoch === cursor.epoch ? holes(cursor.seq, head.seq, held) : [],
    lag: inbox.lagOf(groupId),
    differences: compare(seen, accepted),
  };
}

/** The runs of numbers above `after` up to `head` that are not held. */
function holes(after: number, head: number, held: readonly Position[]): [number, number][] {
  const numbers = held.map(({ seq }) => seq).filter((seq) => seq > after && seq <= head);
  const bounds = [after, ...numbers.toSorted((a, b) => a - b), head + 1];
  return bounds.slice(1).flatMap((seq, index) => {
    const first = (bounds[index] as number) + 1;
    return first < seq ? ([[first, seq - 1]] as [number, number][]) : [];
  });
}

/** How the page's events differ from those of the inbox. */
function compare(seen: readonly Position[], accepted: readonly Position[]): string[] {
  const keys = seen.map(keyOf);
  const shown = new Set(accepted.map(keyOf));
  const got = new Set(keys);
  const twice = seen.filter((position, index) => keys.indexOf(keyOf(position)) < index);
  const early = seen.filter(
    (position, index) => !shown.has(keyOf(position)) && keys.indexOf(keyOf(position)) === index,
  );
  const unseen = accepted.filter((position) => !got.has(keyOf(position)));
  const common = [...new Set(keys)].filter((key) => shown.has(key));
  const order = accepted.map(keyOf).filter((key) => got.has(key));
  const moved = common.findIndex((key, index) => key !== order[index]);
  return [
    ...(twice.length > 0 ? [`it got ${list(twice)} twice`] : []),
    ...(early.length > 0 ? [`it got ${list(early)}, which the inbox would not have shown yet`] : []),
    ...(unseen.length > 0 ? [`it never got ${list(unseen)}`] : []),
    ...(moved >= 0 ? [`it got ${seqIn(common[moved])} before ${seqIn(order[moved])}`] : []),
  ];
}

const seqIn = (key = ''): string => key.split(' ')[1] ?? '';
const list = (positions: readonly Position[]): string => positions.map(({ seq }) => seq).join(', ');
