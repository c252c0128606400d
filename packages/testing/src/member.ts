import { type GroupEvent, type GroupPosition, relationOf } from '@groupcast/shared';
import { io, type Socket } from 'socket.io-client';

/**
 * A member as the front-end guide describes it: a stock Socket.IO client that drops what it has by position, and reads
 * the API's `/events` after every connect and whenever a position is missing.
 */
export interface Member {
  readonly socket: Socket;
  /** The messages of the group that the member shows, in order, each once. */
  readonly shown: GroupEvent[];
  /** Every `new-message` the socket delivered, duplicates included. */
  readonly live: GroupEvent[];
  close(): void;
}

export function startMember(options: { apiUrl: string; relayUrl: string; userToken: string; groupId: string }): Member {
  const { apiUrl, relayUrl, userToken, groupId } = options;
  const shown: GroupEvent[] = [];
  const live: GroupEvent[] = [];
  let seq = 0;
  let epoch: string | undefined;
  let catchingUp: Promise<void> | undefined;

  async function call(path: string, method: string): Promise<unknown> {
    const response = await fetch(`${apiUrl}${path}`, { method, headers: { authorization: `Bearer ${userToken}` } });
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    return response.json();
  }

  function apply(event: GroupEvent): void {
    epoch ??= event.epoch;
    if (relationOf({ epoch, seq }, event) !== 'next') return;
    seq = event.seq;
    shown.push(event);
  }

  async function readOn(): Promise<void> {
    for (let more = true; more && socket.connected; ) {
      const query = epoch === undefined ? `after=${seq}` : `after=${seq}&epoch=${epoch}`;
      const page = (await call(`/api/messaging/groups/${groupId}/events?${query}`, 'GET')) as {
        events: GroupEvent[];
        more: boolean;
        reset?: boolean;
        position: { epoch: string; seq: number };
      };
      if (page.reset) {
        // It is another history: all messages are read anew.
        ({ epoch } = page.position);
        seq = 0;
        shown.length = 0;
        more = true;
        continue;
      }
      for (const event of page.events) apply(event);
      more = page.more;
    }
  }

  function catchUp(): void {
    catchingUp ??= readOn()
      .catch(() => undefined)
      .finally(() => {
        catchingUp = undefined;
      });
  }

  const socket = io(relayUrl, {
    forceNew: true,
    transports: ['websocket'],
    reconnectionDelay: 50,
    reconnectionDelayMax: 300,
    auth: (give) => {
      call('/api/realtime/token', 'POST').then(
        (answer) => give({ token: (answer as { token: string }).token }),
        () => give({}),
      );
    },
  });
  socket.on('joined-groups', ({ groups }: { groups: GroupPosition[] }) => {
    if (groups.some((group) => group.groupId === groupId)) catchUp();
  });
  // A stock client stays away after a refusal; an application comes back.
  socket.on('connect_error', () => {
    if (!socket.active) setTimeout(() => socket.connect(), 100);
  });
  socket.onAny((name: string, event: GroupEvent) => {
    if (event?.groupId !== groupId || typeof event.seq !== 'number') return;
    if (name === 'new-message') live.push(event);
    const relation = epoch === undefined ? 'newer' : relationOf({ epoch, seq }, event);
    if (relation === 'behind') return;
    if (relation === 'next' && !catchingUp) apply({ ...event, event: name });
    else catchUp();
  });

  return { socket, shown, live, close: () => void socket.close() };
}
