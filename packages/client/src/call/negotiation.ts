import type { Clock, Logger } from '../environment.ts';
import { type CallMessage, type Candidate, MAX_CANDIDATES } from './call-messages.ts';

/** The part of an `RTCPeerConnection` that negotiates. */
export type Negotiating = Pick<
  RTCPeerConnection,
  | 'signalingState'
  | 'connectionState'
  | 'localDescription'
  | 'remoteDescription'
  | 'setLocalDescription'
  | 'setRemoteDescription'
  | 'addIceCandidate'
>;

/** The messages that are about the connection. */
export type NegotiationMessage = Extract<CallMessage, { kind: 'offer' | 'answer' | 'ice' }>;

export interface Negotiation {
  /** The connection has changed, and the other side has to agree: the browser's `negotiationneeded`. */
  needed: () => void;
  /** This side may be reached there: the browser's `icecandidate`. */
  found: (candidate: RTCIceCandidate) => void;
  take: (message: NegotiationMessage) => void;
  /** Repeats everything that may have been lost: the offer that has no answer and, without a connection, the candidates. */
  repeat: () => void;
  /** No offer waits for an answer. */
  isSettled: () => boolean;
  stop: () => void;
}

/** Most descriptions and candidates that wait for their turn. The other side repeats what is dropped. */
const MAX_WAITING = 64;
/** Most candidates that are kept until the description that they belong to is there. */
const MAX_EARLY = 100;
/** How long candidates are gathered into one message, in milliseconds. */
const GATHER_MS = 50;

/**
 * "Perfect negotiation": either side may offer at any time. Where both do at once, the polite one takes its offer back and answers, and the
 * other ignores what it gets. Everything that changes a description is done in turn, so that the signalling state is true when it is read.
 *
 * The messages may be lost, come late or twice. An offer is repeated until its answer is there. A repeated offer gets the same answer once
 * more, one that is older than the last is ignored, and so is an answer to another offer than the last. Candidates belong to a description
 * by their `usernameFragment`; those that come before it are kept for it. The polite side makes no offer of its own before it has answered
 * the first: it would lose, every time.
 */
export function createNegotiation(
  deps: { pc: Negotiating; send: (message: NegotiationMessage) => void; clock: Clock; log: Logger },
  { polite }: { polite: boolean },
): Negotiation {
  const { pc, send, clock, log } = deps;
  /** How many offers this side has made; the last one is the number of the next answer. */
  let offers = 0;
  let isWaiting = false;
  /** The last offer that was answered, with the answer. */
  let answered: { number: number; sdp: string } | undefined;
  let own: Candidate[] = [];
  let unsent: Candidate[] = [];
  const early: Candidate[] = [];
  let gatherTimer: unknown;
  let turn: Promise<void> = Promise.resolve();
  let waiting = 0;
  let stopped = false;

  function inTurn(purpose: string, work: () => Promise<void>): void {
    if (waiting >= MAX_WAITING) return log.warn('a call drops a message; too many wait', { purpose });
    waiting += 1;
    const run = async (): Promise<void> => {
      try {
        if (!stopped) await work();
      } catch (error) {
        if (!stopped) log.warn(`unable to ${purpose}`, { error });
      } finally {
        waiting -= 1;
      }
    };
    turn = turn.then(run);
  }

  function sendOffer(): void {
    const { localDescription } = pc;
    if (localDescription?.type === 'offer') send({ kind: 'offer', number: offers, sdp: localDescription.sdp });
  }

  async function makeOffer(): Promise<void> {
    // The browser says so again when the state is stable, where there is still something to agree on.
    if (pc.signalingState !== 'stable' || (polite && !answered)) return;
    await pc.setLocalDescription();
    if (stopped || pc.localDescription?.type !== 'offer') return;
    offers += 1;
    isWaiting = true;
    sendOffer();
  }

  async function onOffer(number: number, sdp: string): Promise<void> {
    if (answered && number <= answered.number) {
      if (number === answered.number) send({ kind: 'answer', ...answered });
      return;
    }
    if (pc.signalingState === 'have-local-offer' && !polite) return;
    await pc.setRemoteDescription({ type: 'offer', sdp });
    isWaiting = false;
    await addEarly();
    await pc.setLocalDescription();
    if (stopped || !pc.localDescription) return;
    answered = { number, sdp: pc.localDescription.sdp };
    send({ kind: 'answer', ...answered });
  }

  async function onAnswer(number: number, sdp: string): Promise<void> {
    if (!isWaiting || number !== offers || pc.signalingState !== 'have-local-offer') return;
    await pc.setRemoteDescription({ type: 'answer', sdp });
    isWaiting = false;
    await addEarly();
  }

  async function addCandidate(candidate: Candidate): Promise<void> {
    await pc.addIceCandidate(candidate).catch((error: unknown) => {
      // Another one may do: whether the call comes about is what counts.
      log.debug('a candidate is not taken', { error });
    });
  }

  async function onCandidates(candidates: readonly Candidate[]): Promise<void> {
    for (const candidate of candidates) {
      if (belongsTo(pc.remoteDescription, candidate)) await addCandidate(candidate);
      else keepEarly(candidate);
    }
  }

  function keepEarly(candidate: Candidate): void {
    if (early.some((known) => isSame(known, candidate))) return;
    if (early.push(candidate) <= MAX_EARLY) return;
    early.shift();
    log.warn('a call drops a candidate; too many have come without their description');
  }

  /** Adds the candidates that have waited for this description. */
  async function addEarly(): Promise<void> {
    const due = early.filter((candidate) => belongsTo(pc.remoteDescription, candidate));
    const rest = early.filter((candidate) => !due.includes(candidate));
    early.splice(0, early.length, ...rest);
    for (const candidate of due) await addCandidate(candidate);
  }

  function flush(): void {
    clock.clearTimeout(gatherTimer);
    gatherTimer = undefined;
    const candidates = unsent.splice(0);
    if (candidates.length > 0) send({ kind: 'ice', candidates });
  }

  return {
    needed: () => inTurn('make an offer', makeOffer),
    found(candidate) {
      const { sdpMid, sdpMLineIndex, usernameFragment } = candidate;
      const one: Candidate = { candidate: candidate.candidate, sdpMid, sdpMLineIndex, usernameFragment };
      // Those of an earlier description are of no use any more.
      own = own.filter((known) => known.usernameFragment === usernameFragment);
      if (own.push(one) > MAX_CANDIDATES) own.shift();
      if (unsent.push(one) >= MAX_CANDIDATES) flush();
      gatherTimer ??= clock.setTimeout(flush, GATHER_MS);
    },
    take(message) {
      switch (message.kind) {
        case 'offer':
          return inTurn('take an offer', () => onOffer(message.number, message.sdp));
        case 'answer':
          return inTurn('take an answer', () => onAnswer(message.number, message.sdp));
        case 'ice':
          return inTurn('take candidates', () => onCandidates(message.candidates));
        default:
          return message satisfies never;
      }
    },
    repeat() {
      if (isWaiting) sendOffer();
      if (pc.connectionState === 'connected' || own.length === 0) return;
      unsent = [];
      send({ kind: 'ice', candidates: own.slice() });
    },
    isSettled: () => !isWaiting && waiting === 0,
    stop() {
      stopped = true;
      clock.clearTimeout(gatherTimer);
    },
  };
}

/** Whether a candidate is one of the addresses that a description is about; one that does not say it is taken for such. */
function belongsTo(description: RTCSessionDescription | null, { usernameFragment }: Candidate): boolean {
  if (!description) return false;
  return usernameFragment === null || description.sdp.split(/\r?\n/).includes(`a=ice-ufrag:${usernameFragment}`);
}

function isSame(a: Candidate, b: Candidate): boolean {
  return a.candidate === b.candidate && a.usernameFragment === b.usernameFragment && a.sdpMid === b.sdpMid;
}
