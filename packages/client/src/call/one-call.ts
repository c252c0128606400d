import { createTimer } from '../base/timer.ts';
import type { Clock, Logger } from '../environment.ts';
import { ClientError } from '../errors.ts';
import type { CallMessage, Incoming } from './call-messages.ts';
import type { CallState, EndReason } from './call-states.ts';
import { endBy, lastWordOf } from './last-words.ts';
import type { LocalMedia } from './local-media.ts';
import type { MediaLink, MediaLinkDeps } from './media-link.ts';
import type { Signalling } from './signalling.ts';

export interface CallTimes {
  /** How long the other's windows ring. */
  ringMs: number;
  /** How long a connection is looked for. */
  giveUpMs: number;
  /** Time between two repetitions of messages that have no answer. */
  repeatMs: number;
}

/** The facts about a call that do not change. */
export interface CallFacts {
  callId: string;
  groupId: string;
  userId: string;
  video: boolean;
  /** Whether this side made the call that came about. */
  isCaller: boolean;
}

export type CallNews =
  | { event: 'accepted' | 'established' | 'interrupted' }
  | { localStream: MediaStream }
  | { remoteStream: MediaStream };

export interface OneCallDeps {
  signalling: Pick<Signalling, 'from' | 'send' | 'insist'>;
  openMedia: () => LocalMedia;
  iceServers: () => Promise<readonly RTCIceServer[] | undefined>;
  createLink: (
    deps: Pick<MediaLinkDeps, 'stream' | 'iceServers' | 'send' | 'onEstablished' | 'onInterrupted' | 'onRemoteStream'>,
    options: { polite: boolean },
  ) => MediaLink;
  state: () => CallState;
  onNews: (news: CallNews) => void;
  /** The call is over. `lastWord` is for messages that come later. `reached`: some window of the other was told of the call. */
  onEnd: (end: { reason: EndReason; lastWord: CallMessage | undefined; reached: boolean }) => void;
  clock: Clock;
  log: Logger;
}

/** One call, from its invitation to its end. */
export interface OneCall extends CallFacts {
  /** The other's window, once it is known which one it is. */
  readonly peerWindow: string | undefined;
  /** Whether any invitation was sent. */
  readonly hasInvited: boolean;
  /** Opens the media and invites the other, again and again. */
  begin: () => void;
  /** Takes the media of a call that this one replaces, if there is one. */
  accept: (media?: LocalMedia) => void;
  take: (incoming: Incoming) => void;
  /** Repeats now what may have been lost. */
  repeat: () => void;
  networkChanged: () => void;
  setMuted: LocalMedia['setMuted'];
  /** Ends the call. The other is told, unless it knows. */
  end: (reason: EndReason, knows?: 'knows') => void;
  /** Ends the call in favour of another with the same user, and leaves the media to that. */
  giveWay: () => LocalMedia | undefined;
}

/** A window stops ringing after as many invitations as this would have come, and did not. */
const MISSED_INVITATIONS = 5;

export function createOneCall(
  deps: OneCallDeps,
  facts: CallFacts & { peerWindow?: string | undefined },
  times: CallTimes,
): OneCall {
  const { signalling, clock, log, state } = deps;
  const { callId, groupId, userId, isCaller } = facts;
  let { peerWindow } = facts;
  let media: LocalMedia | undefined;
  let link: MediaLink | undefined;
  let servers: readonly RTCIceServer[] = [];
  let hasInvited = false;
  /** Some window of the other has been reached. */
  let reached = false;
  /** The caller knows that this window has accepted. */
  let isTaken = false;
  let hasAccepted = false;
  let over = false;
  const deadline = createTimer(clock);
  const repetition = createTimer(clock);

  const toAll = { groupId, userId, callId };
  const toWindow = () => ({ ...toAll, to: peerWindow });
  function endAfter(delayMs: number, reason: () => EndReason): void {
    deadline.set(delayMs, () => end(reason()));
  }

  /** The stream, and with it the servers; `undefined` where the call has ended meanwhile. */
  async function prepare(): Promise<MediaStream | undefined> {
    const equipment = await equip(deps, (media ??= deps.openMedia()));
    if (!equipment) end('no-media');
    if (!equipment || over) return undefined;
    servers = equipment.servers;
    deps.onNews({ localStream: equipment.stream });
    return equipment.stream;
  }

  async function invite(): Promise<void> {
    hasInvited = true;
    const outcome = await signalling.send(toAll, { kind: 'invite', video: facts.video });
    if (over || state() !== 'calling') return;
    if (outcome instanceof ClientError) {
      if (!outcome.retryable) end('failed');
    } else if (outcome > 0) reached = true;
    else if (!reached) end('unavailable', 'knows');
  }

  function open(stream: MediaStream): void {
    try {
      link = linkOf(stream);
    } catch (error) {
      log.error('unable to open the connection of a call', { error });
      end('failed');
    }
  }

  function linkOf(stream: MediaStream): MediaLink {
    return deps.createLink(
      {
        stream,
        iceServers: servers,
        send: (message) => void signalling.send(toWindow(), message),
        onEstablished() {
          deadline.clear();
          deps.onNews({ event: 'established' });
        },
        onInterrupted() {
          if (state() !== 'connected') return;
          endAfter(times.giveUpMs, () => 'lost');
          deps.onNews({ event: 'interrupted' });
        },
        onRemoteStream: (remoteStream) => deps.onNews({ remoteStream }),
      },
      { polite: !isCaller },
    );
  }

  function repeat(): void {
    repetition.set(times.repeatMs, repeat);
    if (state() === 'calling' && hasInvited) void invite();
    if (hasAccepted && !isTaken) void signalling.send(toWindow(), { kind: 'accept' });
    link?.tick();
  }

  function connecting(): void {
    endAfter(times.giveUpMs, () => 'failed');
    deps.onNews({ event: 'accepted' });
  }

  async function onAccepted(from: string): Promise<void> {
    if (state() !== 'calling') {
      if (from !== peerWindow) void signalling.send(toAll, { kind: 'taken', by: peerWindow ?? from });
      return;
    }
    peerWindow = from;
    reached = true;
    connecting();
    void signalling.send(toAll, { kind: 'taken', by: from });
    const stream = await media?.ready;
    if (stream && !over) open(stream);
  }

  /** A message that is for another window of this user, or names it: that one has got the call. */
  function onTakenBy(name: string): void {
    if (isCaller) return;
    if (name === signalling.from) isTaken = true;
    else if (!isTaken) end('elsewhere', 'knows');
  }

  function take({ from, to, message }: Incoming): void {
    if (over || (peerWindow !== undefined && from !== peerWindow && message.kind !== 'accept')) return;
    if (to !== undefined && to !== signalling.from) return onTakenBy(to);
    switch (message.kind) {
      case 'invite':
        // The caller is still there.
        if (state() === 'ringing') ring();
        return;
      case 'accept':
        if (isCaller) void onAccepted(from);
        return;
      case 'taken':
        return onTakenBy(message.by);
      case 'decline':
      case 'hangup': {
        const ending = endBy(message, state());
        return ending && end(...ending);
      }
      case 'offer':
      case 'answer':
      case 'ice':
        isTaken = true;
        return link?.take(message);
      default:
        return message satisfies never;
    }
  }

  function ring(): void {
    endAfter(MISSED_INVITATIONS * times.repeatMs, () => 'missed');
  }

  function finish(): void {
    over = true;
    deadline.clear();
    repetition.clear();
    link?.close();
  }

  function end(reason: EndReason, knows?: 'knows'): void {
    if (over) return;
    const lastWord = lastWordOf(reason, { isCaller, state: state(), knows });
    finish();
    media?.stop();
    // All windows of a callee stop ringing; a caller has one.
    if (!knows && lastWord && (!isCaller || hasInvited)) signalling.insist(isCaller ? toAll : toWindow(), lastWord);
    deps.onEnd({ reason, lastWord, reached });
  }

  async function begin(): Promise<void> {
    if (!(await prepare())) return;
    endAfter(times.ringMs, () => (reached ? 'missed' : 'failed'));
    repeat();
    await invite();
  }

  async function accept(): Promise<void> {
    connecting();
    const stream = await prepare();
    if (!stream) return;
    open(stream);
    hasAccepted = true;
    if (!over) repeat();
  }

  if (!isCaller) ring();
  return {
    ...facts,
    get peerWindow() {
      return peerWindow;
    },
    get hasInvited() {
      return hasInvited;
    },
    begin: () => void begin(),
    accept(given) {
      media = given;
      void accept();
    },
    take,
    repeat,
    networkChanged: () => link?.networkChanged(),
    setMuted: (kind, muted) => media?.setMuted(kind, muted),
    end,
    giveWay() {
      finish();
      if (hasInvited) signalling.insist(toAll, { kind: 'hangup', reason: 'elsewhere' });
      return media;
    },
  };
}

/** `undefined`: there is no microphone. */
async function equip(
  { iceServers, log }: Pick<OneCallDeps, 'iceServers' | 'log'>,
  media: LocalMedia,
): Promise<{ stream: MediaStream; servers: readonly RTCIceServer[] } | undefined> {
  const asked = iceServers();
  try {
    const stream = await media.ready;
    return { stream, servers: (await asked) ?? [] };
  } catch (error) {
    log.warn('a call has no microphone', { error });
    return undefined;
  }
}
