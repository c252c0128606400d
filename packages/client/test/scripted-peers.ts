import type { Clock } from '@groupcast/client';

/** The network between fake connections. A change of it breaks every way through it that was found before. */
export interface FakeNetwork {
  /** A connection that is made from now on. */
  readonly RTCPeerConnection: new (
    configuration: RTCConfiguration,
  ) => RTCPeerConnection;
  readonly open: readonly FakePeerConnection[];
  change: () => void;
  /** Whether anything comes through at all. */
  isUp: boolean;
}

/** A description of a fake connection: its own id, what it answers, its media sections, its generation of addresses and those known. */
interface Description {
  type: 'offer' | 'answer';
  id: string;
  answers: string | undefined;
  sections: number;
  ufrag: string;
  sdp: string;
}

/** The part of the network that a connection sees. */
interface Surroundings {
  clock: Clock;
  settle: () => void;
  /** The state of the network for which each generation of addresses was found. */
  generations: Map<string, number>;
  epoch: () => number;
}

let names = 0;
const newName = (): string => `n${(names += 1)}`;

function write({ id, answers = '-', sections, ufrag }: Omit<Description, 'type' | 'sdp'>): string {
  return `o=${id}\r\na=answers:${answers}\r\na=sections:${sections}\r\na=ice-ufrag:${ufrag}\r\n`;
}

function read({ type, sdp = '' }: RTCSessionDescriptionInit): Description {
  const [, id, answers, sections, ufrag] =
    /^o=(\w+)\r\na=answers:([\w-]+)\r\na=sections:(\d+)\r\na=ice-ufrag:(\w+)\r\n$/.exec(sdp) ?? [];
  if (!id || !ufrag || (type !== 'offer' && type !== 'answer')) throw new TypeError('the description cannot be read');
  return { type, id, answers, sections: Number(sections), ufrag, sdp };
}

function invalidState(text: string): Error {
  return Object.assign(new Error(text), { name: 'InvalidStateError' });
}

/**
 * A connection by the rules of WebRTC: which description is allowed in which state, implicit rollback, when negotiation is needed, that an
 * answer belongs to its offer, and that a candidate belongs to the description that is there.
 */
export class FakePeerConnection {
  signalingState: RTCSignalingState = 'stable';
  connectionState: RTCPeerConnectionState = 'new';
  onnegotiationneeded: (() => void) | null = null;
  onicecandidate: ((event: { candidate: Partial<RTCIceCandidate> | null }) => void) | null = null;
  ontrack: ((event: { streams: unknown[] }) => void) | null = null;
  onconnectionstatechange: (() => void) | null = null;
  current: { local?: Description; remote?: Description } = {};
  private pending: { local?: Description; remote?: Description } = {};
  private tracks = 0;
  private agreed = 0;
  private mustRestart = false;
  private isNeeded = false;
  private hasRemoteTrack = false;
  readonly candidates = new Set<string>();

  private readonly network: Surroundings;
  private configuration: RTCConfiguration;

  constructor(network: Surroundings, configuration: RTCConfiguration) {
    this.network = network;
    this.configuration = configuration;
  }

  get localDescription(): Description | null {
    return this.pending.local ?? this.current.local ?? null;
  }
  get remoteDescription(): Description | null {
    return this.pending.remote ?? this.current.remote ?? null;
  }

  addTrack(): void {
    this.tracks += 1;
    this.checkNeeded();
  }
  restartIce(): void {
    this.mustRestart = true;
    this.checkNeeded();
  }
  getConfiguration(): RTCConfiguration {
    return this.configuration;
  }
  setConfiguration(configuration: RTCConfiguration): void {
    this.assertOpen();
    this.configuration = configuration;
  }

  private assertOpen(): void {
    if (this.signalingState === 'closed') throw invalidState('the connection is closed');
  }

  private checkNeeded(): void {
    if (this.isNeeded || this.signalingState !== 'stable' || (this.tracks <= this.agreed && !this.mustRestart)) return;
    this.isNeeded = true;
    queueMicrotask(() => {
      if (this.isNeeded && this.signalingState === 'stable') this.onnegotiationneeded?.();
    });
  }

  private generation(isNew: boolean): string {
    const known = this.current.local?.ufrag;
    if (known !== undefined && !isNew) return known;
    const ufrag = newName();
    this.network.generations.set(ufrag, this.network.epoch());
    for (const delayMs of [10, 80]) {
      this.network.clock.setTimeout(() => {
        const candidate = `candidate:${delayMs} ${ufrag}`;
        const isOurs = this.localDescription?.ufrag === ufrag && this.signalingState !== 'closed';
        if (isOurs)
          this.onicecandidate?.({ candidate: { candidate, sdpMid: '0', sdpMLineIndex: 0, usernameFragment: ufrag } });
      }, delayMs);
    }
    return ufrag;
  }

  async setLocalDescription(): Promise<void> {
    await Promise.resolve();
    this.assertOpen();
    const sections = Math.max(this.tracks, this.current.remote?.sections ?? 0, this.current.local?.sections ?? 0);
    const id = newName();
    if (this.signalingState === 'stable') {
      const about = { id, answers: undefined, sections, ufrag: this.generation(this.mustRestart) };
      this.pending.local = { type: 'offer', ...about, sdp: write(about) };
      this.signalingState = 'have-local-offer';
      return;
    }
    const offer = this.pending.remote;
    if (this.signalingState !== 'have-remote-offer' || !offer) throw invalidState('there is an offer already');
    const isRestart = this.mustRestart || offer.ufrag !== this.current.remote?.ufrag;
    const about = { id, answers: offer.id, sections: offer.sections, ufrag: this.generation(isRestart) };
    this.agree({ type: 'answer', ...about, sdp: write(about) }, offer, offer.sections);
  }

  async setRemoteDescription(given: RTCSessionDescriptionInit): Promise<void> {
    await Promise.resolve();
    this.assertOpen();
    const description = read(given);
    if (description.type === 'offer') {
      // The implicit rollback of an own offer.
      this.pending = { remote: description };
      this.signalingState = 'have-remote-offer';
    } else {
      const offer = this.pending.local;
      if (this.signalingState !== 'have-local-offer' || !offer) throw invalidState('there is no offer to answer');
      if (description.answers !== offer.id) throw invalidState('the answer is to another offer');
      this.agree(offer, description, offer.sections);
    }
    if (this.hasRemoteTrack) return;
    this.hasRemoteTrack = true;
    this.ontrack?.({ streams: [{ of: description.id }] });
  }

  private agree(local: Description, remote: Description, sections: number): void {
    if (local.ufrag !== this.current.local?.ufrag) this.mustRestart = false;
    this.current = { local, remote };
    this.pending = {};
    this.agreed = Math.min(this.tracks, sections);
    this.signalingState = 'stable';
    this.isNeeded = false;
    this.checkNeeded();
    this.network.settle();
  }

  async addIceCandidate({ candidate, usernameFragment }: RTCIceCandidateInit): Promise<void> {
    await Promise.resolve();
    this.assertOpen();
    if (!this.remoteDescription) throw invalidState('there is no remote description');
    if (usernameFragment !== this.remoteDescription.ufrag) {
      throw Object.assign(new Error('the candidate is of another generation'), { name: 'OperationError' });
    }
    this.candidates.add(`${candidate}`);
    this.network.settle();
  }

  knows(ufrag: string): boolean {
    return [...this.candidates].some((candidate) => candidate.endsWith(` ${ufrag}`));
  }

  become(state: RTCPeerConnectionState): void {
    if (this.connectionState === state || this.signalingState === 'closed') return;
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  close(): void {
    this.signalingState = 'closed';
    this.connectionState = 'closed';
    this.network.settle();
  }
}

/** How long ICE takes to connect, to notice that nothing comes, and to give up, in milliseconds. */
const [CONNECT_MS, DISCONNECT_MS, FAIL_MS] = [150, 500, 6_000];

export function fakeNetwork(clock: Clock): FakeNetwork {
  const all: FakePeerConnection[] = [];
  const generations = new Map<string, number>();
  const timers = new Map<FakePeerConnection, unknown>();
  let epoch = 0;
  let isUp = true;

  function isLinked(a: FakePeerConnection, b: FakePeerConnection): boolean {
    const [ours, theirs] = [a.current, b.current];
    const isCurrent = (ufrag: string): boolean => generations.get(ufrag) === epoch;
    return (
      isUp &&
      a.connectionState !== 'closed' &&
      b.connectionState !== 'closed' &&
      ours.local !== undefined &&
      theirs.local !== undefined &&
      ours.local.ufrag === theirs.remote?.ufrag &&
      theirs.local.ufrag === ours.remote?.ufrag &&
      isCurrent(ours.local.ufrag) &&
      isCurrent(theirs.local.ufrag) &&
      a.knows(theirs.local.ufrag) &&
      b.knows(ours.local.ufrag)
    );
  }

  const hasWay = (pc: FakePeerConnection): boolean => all.some((other) => other !== pc && isLinked(pc, other));

  function settle(): void {
    for (const pc of all) {
      if (pc.signalingState === 'closed') {
        clock.clearTimeout(timers.get(pc));
        continue;
      }
      const wasConnected = pc.connectionState === 'connected';
      const linked = hasWay(pc);
      if (linked === wasConnected) {
        if (linked) clock.clearTimeout(timers.get(pc));
        continue;
      }
      clock.clearTimeout(timers.get(pc));
      const later = (delayMs: number, run: () => void): void => void timers.set(pc, clock.setTimeout(run, delayMs));
      if (linked) later(CONNECT_MS, () => hasWay(pc) && pc.become('connected'));
      else {
        later(DISCONNECT_MS, () => {
          pc.become('disconnected');
          later(FAIL_MS, () => pc.become('failed'));
        });
      }
    }
  }

  return {
    RTCPeerConnection: class extends FakePeerConnection {
      constructor(configuration: RTCConfiguration) {
        super({ clock, settle, generations, epoch: () => epoch }, configuration);
        all.push(this);
      }
    } as unknown as FakeNetwork['RTCPeerConnection'],
    get open() {
      return all.filter(({ signalingState }) => signalingState !== 'closed');
    },
    change() {
      epoch += 1;
      settle();
    },
    get isUp() {
      return isUp;
    },
    set isUp(up) {
      isUp = up;
      settle();
    },
  };
}
