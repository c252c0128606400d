/**
 * Why a connection is in a group: its token names the group, the API allowed it when the client asked to join, or the API has added the
 * member, which nobody on this connection has asked for.
 */
export type Admission = 'token' | 'api' | 'added';

/** A connection's place in a group. `since`: the last delivery before it was live there; infinite as long as it is not. */
export interface InGroup {
  readonly admission: Admission;
  readonly since: number;
}

const NOT_LIVE: Readonly<Record<Admission, InGroup>> = {
  token: { admission: 'token', since: Number.POSITIVE_INFINITY },
  api: { admission: 'api', since: Number.POSITIVE_INFINITY },
  added: { admission: 'added', since: Number.POSITIVE_INFINITY },
};
/** The newest of each kind: connections that go live before the next delivery share it. */
const newest: Record<Admission, InGroup> = { ...NOT_LIVE };

/** The connection is admitted, and not yet live. */
export function admittedBy(admission: Admission): InGroup {
  return NOT_LIVE[admission];
}

/** The same place for another reason. */
export function becauseOf({ since }: InGroup, admission: Admission): InGroup {
  if (newest[admission].since !== since) newest[admission] = { admission, since };
  return newest[admission];
}

/** The place of a connection that is live from now on; one that has been live stays as it is. */
export function liveSince(place: InGroup, since: number): InGroup {
  return Number.isFinite(place.since) ? place : becauseOf({ ...place, since }, place.admission);
}
