import type { GroupId, UserId } from '../api/api.ts';
import { idOf, parseUserId } from '../base/parse.ts';
import { createStore, type Readable } from '../base/store.ts';
import type { ConnectionSnapshot } from '../connection/connection-status.ts';
import { type Clock, consoleLogger, defaultEventTarget, type Logger, systemClock } from '../environment.ts';
import { newClientMessageId } from '../messages/outgoing.ts';
import type { CallMessage, Incoming } from './call-messages.ts';
import { type CallSnapshot, NO_CALL } from './call-snapshot.ts';
import { type CallEvent, isActive, nextState } from './call-states.ts';
import { createIceServers } from './ice-servers.ts';
import { type GetMedia, openMedia, type TrackKind } from './local-media.ts';
import { createMediaLink, type MediaLinkDeps, type PeerConnection } from './media-link.ts';
import { type CallFacts, type CallNews, createOneCall, type OneCall, type OneCallDeps } from './one-call.ts';
import { type OutcomeMessage, outcomeMessage } from './outcome-message.ts';
import { defaultNetwork, watchPage } from './page-events.ts';
import { createPastCalls } from './past-calls.ts';
import { judgeSecondCall, type Verdict } from './second-call.ts';
import { createSignalling, type SignalPort } from './signalling.ts';

/** The part of a client that calls need. */
export interface CallClient extends SignalPort {
  readonly userId: string | undefined;
  readonly connection: Readable<ConnectionSnapshot>;
  readonly api: { iceServers: () => Promise<readonly RTCIceServer[]> };
  send: (groupId: GroupId, message: OutcomeMessage) => { saved: Promise<unknown> };
}

/** The options of calls. Times are in milliseconds. */
export interface CallOptions {
  /** How long the other's windows ring. Default 30,000. */
  ringMs?: number | undefined;
  /** How long a connection is looked for, at the beginning and after an interruption. Default 30,000. */
  giveUpMs?: number | undefined;
  /** Time between two repetitions of messages that have no answer. Default 2,000. */
  repeatMs?: number | undefined;
  /** How long a connection may come back by itself. Default 2,000. */
  disconnectedMs?: number | undefined;
  /** How long an attempt to connect may take before there is another one. Default 8,000. */
  attemptMs?: number | undefined;
  /** `relay`: the other never learns this user's network address, because everything goes through a TURN server. Default `all`. */
  iceTransportPolicy?: RTCIceTransportPolicy | undefined;
  /** Asks for microphone and camera. Default `navigator.mediaDevices.getUserMedia`. */
  getMedia?: GetMedia | undefined;
  RTCPeerConnection?: PeerConnection | undefined;
  /** The target of `online` and `pagehide`. Default the window, if there is one. */
  eventTarget?: EventTarget | undefined;
  /** The target of `change`, when the network is another one. Default `navigator.connection`, where a browser has it. */
  network?: EventTarget | undefined;
  logger?: Logger | undefined;
  clock?: Clock | undefined;
}

/** One call at a time between this user and a member of the same group. */
export interface Call extends Readable<CallSnapshot> {
  /** Calls somebody; accepts where the same user is calling. Throws a `TypeError` during a call, and after `close()`. */
  start: (call: { groupId: GroupId; userId: UserId; video: boolean }) => void;
  /** Answers the call that rings. */
  accept: () => void;
  decline: () => void;
  /** Ends the call, whatever its state. */
  hangUp: () => void;
  /** Turns the microphone or the camera off, or on again. */
  setMuted: (kind: TrackKind, on: boolean) => void;
  /** Hangs up, and takes no further calls. */
  close: () => void;
}

/** Most calls that are remembered as ignored. */
const MAX_RIVALS = 20;

/**
 * Makes and takes the calls of a client's user. The camera and the microphone are on from `start` or `accept` until the call has ended,
 * however it ends. Make one for each client, in each window: all windows of a user ring, and the first that accepts has the call.
 */
export function createCall(client: CallClient, options: CallOptions = {}): Call {
  const { clock = systemClock, logger: log = consoleLogger, eventTarget: target = defaultEventTarget() } = options;
  const { ringMs = 30_000, giveUpMs = 30_000, repeatMs = 2_000, network = defaultNetwork() } = options;
  const store = createStore<CallSnapshot>(NO_CALL, (error) => log.error('a listener failed', { error }));
  const state = () => store.getSnapshot().state;
  let current: OneCall | undefined;
  /** Calls of the other that were ignored because of the current one. */
  const rivals = new Set<string>();
  let closed = false;

  function show(change: Partial<CallSnapshot>, event?: CallEvent): void {
    const now = store.getSnapshot();
    const next = event ? nextState(now.state, event) : now.state;
    if (next !== now.state) log.debug(`call ${now.state} -> ${next}`, { event, reason: change.reason });
    store.set({ ...now, ...change, state: next });
  }

  const signalling = createSignalling({ client, clock, log, onMessage }, { from: newClientMessageId(), repeatMs });
  const past = createPastCalls((address, message) => void signalling.send(address, message));
  const servers = createIceServers({ fetch: () => client.api.iceServers(), clock, log });

  const createLink = linkFactory(options, { refreshServers: servers.renew, clock, log });

  function oneCall(facts: CallFacts & { peerWindow?: string }): OneCall {
    const deps: OneCallDeps = {
      signalling,
      state,
      clock,
      log,
      openMedia: () => openMedia({ getMedia: options.getMedia ?? getUserMedia, log }, facts),
      iceServers: servers.read,
      createLink,
      onNews,
      onEnd: ({ reason, lastWord, reached }) => ended(facts, { reason, reached }, lastWord),
    };
    return createOneCall(deps, facts, { ringMs, giveUpMs, repeatMs });
  }

  function onNews(news: CallNews): void {
    if ('localStream' in news) {
      for (const kind of ['audio', 'video'] as const) current?.setMuted(kind, store.getSnapshot().muted[kind]);
      show(news);
    } else if ('remoteStream' in news) show(news);
    else if (news.event !== 'established') show({}, news.event);
    else show({ startedAt: store.getSnapshot().startedAt ?? clock.now() }, news.event);
  }

  function ended(
    facts: CallFacts,
    end: Pick<Parameters<OneCallDeps['onEnd']>[0], 'reason' | 'reached'>,
    lastWord: CallMessage | undefined,
  ): void {
    const wasConnecting = state() !== 'calling';
    past.add(facts, lastWord);
    current = undefined;
    show({ reason: end.reason, localStream: null, remoteStream: null }, 'end');
    const message = facts.isCaller && outcomeMessage({ ...end, wasConnecting }, facts.video);
    if (!message) return;
    client.send(facts.groupId, message).saved.catch((error: unknown) => {
      log.warn('the outcome of a call is not in the group', { error });
    });
  }

  // Messages of the other side

  function onMessage(incoming: Incoming): void {
    const { callId, message } = incoming;
    if (current?.callId === callId) {
      if (current.userId === incoming.userId && current.groupId === incoming.groupId) current.take(incoming);
    } else if (message.kind === 'invite' && !past.has(callId)) onInvite(incoming, message.video);
    else if (past.has(callId)) past.answer(incoming);
    // The invitation may still come.
    else if (message.kind === 'hangup') past.add(incoming, undefined);
  }

  function onInvite(incoming: Incoming, video: boolean): void {
    const { groupId, userId, callId, from } = incoming;
    if (userId === client.userId) return;
    const facts = { callId, groupId, userId, video, isCaller: false, peerWindow: from };
    switch (current && verdictOn(incoming, current)) {
      case 'busy':
        void signalling.send({ groupId, userId, callId, to: from }, { kind: 'decline', reason: 'busy' });
        return;
      case 'ignore':
        return current?.repeat();
      case 'join':
        return join({ ...facts, video: video || current?.video === true });
      case 'replace':
        current?.end('lost', 'knows');
        break;
      case undefined:
        break;
    }
    begin(oneCall(facts), 'invited');
  }

  function verdictOn(incoming: Incoming, call: OneCall): Verdict {
    if (rivals.has(incoming.callId)) return 'ignore';
    const verdict = judgeSecondCall(incoming, call, state());
    // A late copy must not end the call that came about instead.
    if (verdict === 'ignore' && rivals.size < MAX_RIVALS) rivals.add(incoming.callId);
    return verdict;
  }

  /** Both have called each other, and the other's call is the one that counts. */
  function join(facts: CallFacts & { peerWindow: string }): void {
    const mine = current;
    const media = mine?.giveWay();
    if (mine) past.add(mine, undefined);
    current = oneCall(facts);
    show({ groupId: facts.groupId, video: facts.video });
    current.accept(media);
  }

  function begin(call: OneCall, event: 'start' | 'invited'): void {
    const { groupId, userId, video } = call;
    current = call;
    rivals.clear();
    const direction = event === 'start' ? 'outgoing' : 'incoming';
    show({ ...NO_CALL, groupId, peer: userId, direction, video }, event);
  }

  // The browser, and the client

  /** A window that goes away while it rings says nothing: others may ring as well. */
  function leave(): void {
    current?.end('hung-up', state() === 'ringing' ? 'knows' : undefined);
  }

  const stops = [
    watchPage({ target, network }, { onNetwork: () => current?.networkChanged(), onLeave: leave }),
    client.connection.subscribe(() => {
      const { state: now } = client.connection.getSnapshot();
      if (now === 'recovering' || now === 'connected') current?.repeat();
    }),
    signalling.stop,
    store.clear,
  ];

  function start({ groupId, userId, video }: Parameters<Call['start']>[0]): void {
    const peer = parseUserId(userId);
    const reason = closed
      ? 'calls were closed'
      : !peer || peer === client.userId
        ? 'there is nobody to call'
        : undefined;
    if (reason || !peer) throw new TypeError(`unable to start a call; ${reason}`);
    if (state() === 'ringing' && current?.userId === peer) return current.accept();
    if (current) throw new TypeError('unable to start a call; there is one already');
    const call = oneCall({ callId: newClientMessageId(), groupId: idOf(groupId), userId: peer, video, isCaller: true });
    begin(call, 'start');
    call.begin();
  }

  return {
    getSnapshot: store.getSnapshot,
    subscribe: store.subscribe,
    start,
    accept() {
      if (state() === 'ringing') current?.accept();
    },
    decline() {
      if (state() === 'ringing') current?.end('declined');
    },
    hangUp: () => current?.end(state() === 'ringing' ? 'declined' : 'hung-up'),
    setMuted(kind, on) {
      if (!isActive(state())) return;
      current?.setMuted(kind, on);
      show({ muted: { ...store.getSnapshot().muted, [kind]: on } });
    },
    close() {
      closed = true;
      leave();
      for (const stop of stops) stop();
    },
  };
}

function linkFactory(
  options: CallOptions,
  deps: Pick<MediaLinkDeps, 'refreshServers' | 'clock' | 'log'>,
): OneCallDeps['createLink'] {
  const { iceTransportPolicy = 'all', disconnectedMs = 2_000, attemptMs = 8_000 } = options;
  return (linkDeps, { polite }) => {
    const { RTCPeerConnection = globalThis.RTCPeerConnection } = options;
    const settings = { polite, iceTransportPolicy, disconnectedMs, attemptMs };
    return createMediaLink({ ...deps, ...linkDeps, RTCPeerConnection }, settings);
  };
}

async function getUserMedia(constraints: { audio: true; video: boolean }): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia(constraints);
}
