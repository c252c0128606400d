import { type Dialect, nativeDialect, type Saying, type Viewing } from '@groupcast/dialects';
import { isUserSocket, type RelaySocket, type SocketData } from './session.ts';

/** One way of saying events. All connections with the same voice are told the same, so an event is made once for all of them. */
export interface Voice {
  readonly dialect: Dialect;
  readonly viewing: Viewing;
}

const voices = new Map<Dialect, Readonly<Record<Viewing, Voice>>>();

function voicesOf(dialect: Dialect): Readonly<Record<Viewing, Voice>> {
  const known = voices.get(dialect);
  if (known) return known;
  const made = {
    viewing: { dialect, viewing: 'viewing' },
    'not-viewing': { dialect, viewing: 'not-viewing' },
  } as const;
  voices.set(dialect, made);
  return made;
}

/** The vocabulary that the connection speaks. Back ends and monitors speak the native one. */
export function dialectOf(socket: RelaySocket): Dialect {
  // A connection that has not checked in yet has no session.
  const { session }: Partial<SocketData> = socket.data;
  return (session?.kind === 'user' ? session.dialect : undefined) ?? nativeDialect();
}

/** The voice in which the connection is told events of the group. It changes when the group is opened or closed. */
export function voiceOf(socket: RelaySocket, groupId: string | undefined): Voice {
  const dialect = dialectOf(socket);
  const isViewing =
    dialect.tellsViewersApart && groupId !== undefined && isUserSocket(socket)
      ? socket.data.session.opened?.has(groupId) === true
      : false;
  return voicesOf(dialect)[isViewing ? 'viewing' : 'not-viewing'];
}

/** The group that an event is about, if it says so. */
export function groupOf(payload: unknown): string | undefined {
  const { groupId } = (payload ?? {}) as { groupId?: unknown };
  return typeof groupId === 'string' ? groupId : undefined;
}

/** Whether a connection is in groups that its client has not asked for: those of its token, and those that a user is added to. */
export function joinsByItself(socket: RelaySocket): boolean {
  return dialectOf(socket).groups !== 'none';
}

/** Whether an event is for this connection, among those with its voice. */
export function isFor(socket: RelaySocket, { only }: Saying): boolean {
  if (!only) return true;
  return isUserSocket(socket) && only.includes(socket.data.session.userId);
}
