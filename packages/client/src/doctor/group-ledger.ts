import type { DoctorGroup, Position } from '@groupcast/shared';
import { isAfter, relationOf } from '@groupcast/shared/positions';
import { MAX_MISSING } from './limits.ts';

/** How one group stands: where it is, what the page got of it, and what is missing in between. */
export interface GroupLedger {
  state: DoctorGroup['state'];
  code: string | undefined;
  from: Position | null;
  head: Position | null;
  /** The furthest position that came. */
  top: Position | null;
  /** Runs of numbers below `top` that did not come, in order. */
  missing: [number, number][];
  events: number;
  duplicates: number;
}

export function newLedger(): GroupLedger {
  return {
    state: 'unknown',
    code: undefined,
    from: null,
    head: null,
    top: null,
    missing: [],
    events: 0,
    duplicates: 0,
  };
}

/** The group stands at `position`; a group of which nothing came begins there. */
export function stand(group: GroupLedger, position: Position): void {
  if (!group.top) Object.assign(group, { from: position, top: position });
  const relation = group.head ? relationOf(group.head, position) : 'newer';
  if (relation !== 'behind' && relation !== 'older') group.head = position;
}

/** The group goes on in another epoch: nothing is known of what was before. */
function restart(group: GroupLedger, position: Position): void {
  Object.assign(group, { from: position, top: position, missing: [] });
}

/** The event at `position` came, or is not for this user. Answers whether it came before. */
export function take(group: GroupLedger, position: Position): boolean {
  const { top } = group;
  const before = { epoch: position.epoch, seq: position.seq - 1 };
  if (!top) stand(group, before);
  const relation = relationOf(group.top as Position, position);
  if (relation === 'older') return true;
  if (relation === 'behind') return !fill(group, position.seq);
  if (relation === 'newer') restart(group, before);
  else if (relation === 'ahead') {
    group.missing.push([(top as Position).seq + 1, before.seq]);
    if (group.missing.length > MAX_MISSING) group.missing.shift();
  }
  group.top = position;
  stand(group, position);
  return false;
}

/** Takes a number out of what is missing. Answers whether it was. */
function fill(group: GroupLedger, seq: number): boolean {
  const index = group.missing.findIndex(([first, last]) => first <= seq && seq <= last);
  const run = group.missing[index];
  if (!run) return false;
  const rest: [number, number][] = [
    [run[0], seq - 1],
    [seq + 1, run[1]],
  ];
  group.missing.splice(index, 1, ...rest.filter(([first, last]) => first <= last));
  group.missing.length = Math.min(group.missing.length, MAX_MISSING);
  return true;
}

/** The page has everything up to `position`. */
export function reach(group: GroupLedger, position: Position): void {
  stand(group, position);
  const { top } = group;
  if (top?.epoch !== position.epoch) return restart(group, position);
  group.missing = group.missing
    .filter(([, last]) => last > position.seq)
    .map(([first, last]) => [Math.max(first, position.seq + 1), last]);
  if (isAfter(position, top)) group.top = position;
}

/** `reached`: where the page stands, if that is known better than by what came. */
export function describe(groupId: string, group: GroupLedger, reached: Position | null): DoctorGroup {
  const { state, code, from, events, duplicates } = group;
  const missing = reached ? [] : group.missing;
  const top = reached ?? group.top;
  const [first] = missing;
  const seen = top && first ? { epoch: top.epoch, seq: first[0] - 1 } : top;
  const head = top && group.head && isAfter(top, group.head) ? top : group.head;
  const holes = missing.reduce((sum, [start, end]) => sum + end - start + 1, 0);
  const behind = !head || !top ? 0 : head.epoch === top.epoch ? head.seq - top.seq + holes : null;
  return {
    groupId,
    state,
    code,
    from,
    head,
    seen,
    behind: behind === null ? null : Math.max(0, behind),
    missing,
    events,
    duplicates,
  };
}
