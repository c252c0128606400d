import type { Clock, Logger } from '../environment.ts';
import { createNegotiation, type NegotiationMessage } from './negotiation.ts';

export type PeerConnection = new (configuration: RTCConfiguration) => RTCPeerConnection;

export interface MediaLinkDeps {
  RTCPeerConnection: PeerConnection;
  stream: MediaStream;
  /** The servers that help to find a way through the network, and again later: their credentials may have an end. */
  iceServers: readonly RTCIceServer[];
  refreshServers: () => Promise<readonly RTCIceServer[] | undefined>;
  send: (message: NegotiationMessage) => void;
  onEstablished: () => void;
  /** The connection has failed, and another one is being looked for. */
  onInterrupted: () => void;
  onRemoteStream: (stream: MediaStream) => void;
  clock: Clock;
  log: Logger;
}

export interface MediaLinkOptions {
  polite: boolean;
  iceTransportPolicy: RTCIceTransportPolicy;
  /** How long a connection may come back by itself, in milliseconds. */
  disconnectedMs: number;
  /** How long an attempt may take before there is another one, in milliseconds. */
  attemptMs: number;
}

/** The connection through which both sides are heard and seen. It looks for another way by itself until it is closed. */
export interface MediaLink {
  take: (message: NegotiationMessage) => void;
  /** Repeats what may have been lost, and tries another way where the last attempt has come to nothing. */
  tick: () => void;
  /** The browser has another network, or has one again. */
  networkChanged: () => void;
  close: () => void;
}

export function createMediaLink(deps: MediaLinkDeps, options: MediaLinkOptions): MediaLink {
  const { clock, stream } = deps;
  const pc = new deps.RTCPeerConnection({
    iceServers: [...deps.iceServers],
    iceTransportPolicy: options.iceTransportPolicy,
    bundlePolicy: 'max-bundle',
  });
  const negotiation = createNegotiation({ ...deps, pc }, options);
  /** When the attempt began that is under way; `undefined` while there is a connection. */
  let attemptAt: number | undefined = clock.now();
  let timer: unknown;
  let closed = false;

  /** Both sides may do this at once. An attempt begins without the new servers where they do not come. */
  function restart(): void {
    if (pc.connectionState !== 'connected') attemptAt = clock.now();
    void deps.refreshServers().then((iceServers) => {
      if (closed) return;
      if (iceServers) pc.setConfiguration({ ...pc.getConfiguration(), iceServers: [...iceServers] });
      pc.restartIce();
    });
  }

  function interrupted(): void {
    deps.onInterrupted();
    restart();
  }

  pc.onnegotiationneeded = () => negotiation.needed();
  pc.onicecandidate = ({ candidate }) => {
    if (candidate?.candidate) negotiation.found(candidate);
  };
  pc.ontrack = ({ streams: [remote] }) => {
    if (remote) deps.onRemoteStream(remote);
  };
  pc.onconnectionstatechange = () => {
    clock.clearTimeout(timer);
    if (pc.connectionState === 'connected') {
      attemptAt = undefined;
      deps.onEstablished();
    }
    if (pc.connectionState === 'disconnected') timer = clock.setTimeout(interrupted, options.disconnectedMs);
    if (pc.connectionState === 'failed') interrupted();
  };
  for (const track of stream.getTracks()) pc.addTrack(track, stream);

  return {
    take: negotiation.take,
    tick() {
      negotiation.repeat();
      if (attemptAt === undefined || !negotiation.isSettled()) return;
      // The two sides take turns: attempts at the same moment would only undo each other.
      const patience = options.polite ? 1.5 * options.attemptMs : options.attemptMs;
      if (clock.now() - attemptAt >= patience) restart();
    },
    networkChanged: restart,
    close() {
      closed = true;
      clock.clearTimeout(timer);
      negotiation.stop();
      pc.onnegotiationneeded = null;
      pc.onicecandidate = null;
      pc.ontrack = null;
      pc.onconnectionstatechange = null;
      pc.close();
    },
  };
}
