import { nativeDialect } from '@groupcast/dialects';
import { Adapter, type BroadcastOptions } from 'socket.io-adapter';
import { PacketType } from 'socket.io-parser';
import type { RelayServer, RelaySocket } from '../sessions/session.ts';
import { argumentsAfter, hears } from '../sessions/tell.ts';
import { dialectOf, groupOf, type Voice, voiceOf } from '../sessions/voices.ts';

interface EventPacket {
  type: PacketType;
  data: unknown[];
}

/** The rooms of an adapter. Every connection is in a room of its own, which is made when somebody looks at it. */
class Rooms extends Map<string, Set<string>> {
  private readonly joined: ReadonlyMap<string, unknown>;

  constructor(joined: ReadonlyMap<string, unknown>) {
    super();
    this.joined = joined;
  }

  override get(room: string): Set<string> | undefined {
    return super.get(room) ?? (this.joined.has(room) ? new Set([room]) : undefined);
  }

  override has(room: string): boolean {
    return super.has(room) || this.joined.has(room);
  }
}

/**
 * Socket.IO's adapter in memory for many connections that are in a few rooms each: their own room takes no memory, and the names of the
 * others are an array. The events are Socket.IO's own. No room may have the name of a connection's own room, and no connection leaves its
 * own. An event to a room is told to each connection in its own words; where a dialect has none, the adapter emits `unsaid`.
 */
export class RoomAdapter extends Adapter {
  private readonly joined = new Map<string, string[]>();
  /** Connections that do not speak the native vocabulary. */
  private readonly foreign = new Set<string>();
  override rooms: Map<string, Set<string>> = new Rooms(this.joined);
  /** The base class reads its keys, and nothing else. */
  override sids = this.joined as Map<string, never>;

  override addAll(id: string, rooms: ReadonlySet<string>): void {
    if (!this.joined.has(id)) {
      this.joined.set(id, []);
      const socket = (this.nsp as ReturnType<RelayServer['of']>).sockets.get(id);
      if (socket && dialectOf(socket) !== nativeDialect()) this.foreign.add(id);
      this.emit('create-room', id);
      this.emit('join-room', id, id);
    }
    const joined = this.joined.get(id) ?? [];
    const others = [...rooms].filter((room) => room !== id && this.rooms.get(room)?.has(id) !== true);
    if (others.length === 0) return;
    // The array is as long as it must be, where a push would make room for seventeen.
    this.joined.set(id, joined.concat(others));
    for (const room of others) this.enter(id, room);
  }

  override del(id: string, room: string): void {
    const joined = this.joined.get(id);
    const index = joined?.indexOf(room) ?? -1;
    if (index < 0) return;
    joined?.splice(index, 1);
    this.leave(id, room);
  }

  override delAll(id: string): void {
    const joined = this.joined.get(id);
    if (!joined) return;
    this.joined.delete(id);
    this.foreign.delete(id);
    this.emit('leave-room', id, id);
    this.emit('delete-room', id);
    for (const room of joined) this.leave(id, room);
  }

  override socketRooms(id: string): Set<string> | undefined {
    const joined = this.joined.get(id);
    return joined && new Set([id, ...joined]);
  }

  /** As the base class does, once for each voice. */
  override broadcast(packet: EventPacket, options: BroadcastOptions): void {
    if (packet.type !== PacketType.EVENT || this.foreign.size === 0) {
      super.broadcast(packet, options);
      return;
    }
    const [event, payload] = packet.data as [string, Readonly<Record<string, unknown>>];
    for (const [{ dialect, viewing }, listeners] of this.byVoice(options, groupOf(payload))) {
      const sayings = dialect.say(event, payload, viewing);
      if (!sayings) this.emit('unsaid', event, dialect.name);
      for (const saying of sayings ?? []) {
        const rooms = new Set<string>();
        for (const socket of listeners) {
          if (hears(socket, saying, payload)) rooms.add(socket.id);
        }
        // Without a room it would go to everybody.
        if (rooms.size === 0) continue;
        const extra = dialect.recovers ? argumentsAfter(saying.payload) : [];
        const data = [saying.name, saying.payload, ...extra];
        super.broadcast({ ...packet, data }, { ...options, rooms, except: new Set() });
      }
    }
  }

  private byVoice(
    { rooms, except = new Set() }: BroadcastOptions,
    groupId: string | undefined,
  ): Map<Voice, RelaySocket[]> {
    const { sockets } = this.nsp as ReturnType<RelayServer['of']>;
    const ids = rooms.size > 0 ? [...rooms].flatMap((room) => [...(this.rooms.get(room) ?? [])]) : this.joined.keys();
    const left = new Set([...except].flatMap((room) => [...(this.rooms.get(room) ?? [])]));
    const listeners = new Map<Voice, RelaySocket[]>();
    for (const id of new Set(ids)) {
      const socket = left.has(id) ? undefined : sockets.get(id);
      if (!socket) continue;
      const voice = voiceOf(socket, groupId);
      const known = listeners.get(voice);
      if (known) known.push(socket);
      else listeners.set(voice, [socket]);
    }
    return listeners;
  }

  private enter(id: string, room: string): void {
    const members = this.rooms.get(room);
    if (members) members.add(id);
    else {
      this.rooms.set(room, new Set([id]));
      this.emit('create-room', room);
    }
    this.emit('join-room', room, id);
  }

  private leave(id: string, room: string): void {
    const members = this.rooms.get(room);
    if (!members?.delete(id)) return;
    this.emit('leave-room', room, id);
    if (members.size === 0 && this.rooms.delete(room)) this.emit('delete-room', room);
  }
}
