import { ClientError } from '@groupcast/client';
import { type Call, type CallClient, type CallOptions, createCall } from '@groupcast/client/call';
import { manualClock, memoryLogger } from './manual-clock.ts';
import { fakeNetwork } from './scripted-peers.ts';

interface Route {
  fromUserId: string;
  toUserId: string;
  kind: string;
  data: unknown;
}

/** The copies of a signal that arrive, each after a delay in milliseconds. */
type Fate = (signal: Route) => readonly number[];

interface Window {
  userId: string;
  /** The relay knows of it. */
  isConnected: boolean;
  hear: (event: { event: string; payload: unknown }) => void;
}

export interface CallWorld {
  readonly clock: ReturnType<typeof manualClock>;
  readonly network: ReturnType<typeof fakeNetwork>;
  readonly log: ReturnType<typeof memoryLogger>;
  /** Tracks of cameras and microphones that are on. */
  live: () => number;
  /** Every signal that the relay has taken. */
  readonly signals: Route[];
  /** Messages that were sent to the group. */
  readonly sent: { userId: string; content: string; kind?: string; custom?: unknown }[];
  /** Opens a window of a user, and with it a place where calls come in. */
  window: (userId: string, options?: Partial<CallOptions>) => CallWindow;
  setFate: (fate: Fate) => void;
  /** The API's answer. */
  iceServers: () => Promise<RTCIceServer[]>;
}

export interface CallWindow {
  readonly call: Call;
  readonly state: string;
  /** The reason of an ending, if there is one, or the state. */
  readonly outcome: string;
  /** Cuts the window off from the relay, or lets it back. */
  connect: (isConnected: boolean) => void;
  hear: (payload: unknown) => void;
  readonly page: EventTarget;
}

/** One group, the users' windows, a relay that may lose and delay signals, and a network for the media. */
export function callWorld(): CallWorld {
  const clock = manualClock();
  const network = fakeNetwork(clock);
  const log = memoryLogger();
  const windows = new Set<Window>();
  const tracks: { readyState: string }[] = [];
  const signals: Route[] = [];
  const sent: CallWorld['sent'] = [];
  let asked = 0;
  let fate: Fate = () => [1];

  function carry(sender: Window, route: Route, groupId: unknown): { delivered: number } {
    if (!sender.isConnected) throw new ClientError('UNREACHABLE', 'there is no connection', { retryable: true });
    signals.push(route);
    const reached = [...windows].filter((one) => one.userId === route.toUserId && one.isConnected);
    const { fromUserId, kind } = route;
    const data: unknown = JSON.parse(JSON.stringify(route.data));
    for (const delayMs of fate(route)) {
      for (const one of reached) {
        clock.setTimeout(() => {
          if (one.isConnected) one.hear({ event: 'signal', payload: { groupId, fromUserId, kind, data } });
        }, delayMs);
      }
    }
    return { delivered: reached.length };
  }

  function fakeStream(video: boolean): MediaStream {
    const own = (video ? ['audio', 'video'] : ['audio']).map((kind) => ({
      kind,
      enabled: true,
      readyState: 'live',
      stop() {
        this.readyState = 'ended';
      },
    }));
    tracks.push(...own);
    const of = (kind: string) => own.filter((track) => track.kind === kind);
    return {
      getTracks: () => own,
      getAudioTracks: () => of('audio'),
      getVideoTracks: () => of('video'),
    } as unknown as MediaStream;
  }

  const world: CallWorld = {
    clock,
    network,
    iceServers: async () => [{ urls: `turn:${(asked += 1)}.example.com` }],
    log,
    live: () => tracks.filter(({ readyState }) => readyState === 'live').length,
    signals,
    sent,
    setFate(next) {
      fate = next;
    },
    window(userId, options = {}) {
      const page = new EventTarget();
      const listeners = new Set<() => void>();
      const self: Window = { userId, isConnected: true, hear: () => undefined };
      windows.add(self);
      const client: CallClient = {
        userId,
        signal: async (groupId, toUserId, kind, data) =>
          carry(self, { fromUserId: userId, toUserId: String(toUserId), kind, data }, groupId),
        on(_, listener) {
          self.hear = listener;
          return () => {
            self.hear = () => undefined;
            windows.delete(self);
          };
        },
        connection: {
          getSnapshot: () => ({ state: self.isConnected ? 'connected' : 'waiting', reason: null }),
          subscribe(listener) {
            listeners.add(listener);
            return () => void listeners.delete(listener);
          },
        },
        api: { iceServers: async () => world.iceServers() },
        send(_, message) {
          sent.push({ userId, ...message });
          return { saved: Promise.resolve() };
        },
      };
      const call = createCall(client, {
        clock,
        logger: log,
        eventTarget: page,
        RTCPeerConnection: network.RTCPeerConnection,
        getMedia: async ({ video }) => fakeStream(video),
        ...options,
      });
      return {
        call,
        page,
        get state() {
          return call.getSnapshot().state;
        },
        get outcome() {
          const { state, reason } = call.getSnapshot();
          return state === 'ended' && reason ? reason : state;
        },
        hear: (payload) => self.hear({ event: 'signal', payload }),
        connect(isConnected) {
          self.isConnected = isConnected;
          for (const listener of listeners) listener();
        },
      };
    },
  };
  return world;
}
