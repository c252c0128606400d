import { useCall } from '@groupcast/client/react';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { describe, expect, test } from 'vitest';
import { type CallEvent, type CallState, nextState, TRANSITIONS } from '../src/call/call-states.ts';
import { type CallWindow, callWorld } from './call-harness.ts';

const CALL = { groupId: 1, userId: 'bob', video: true };

/** Alice and Bob with a window each, in a call when `isConnected`. */
async function twoPeople({ isConnected = false } = {}) {
  const world = callWorld();
  const [alice, bob] = [world.window('alice'), world.window('bob')];
  if (isConnected) {
    alice.call.start(CALL);
    await world.clock.advance(100);
    bob.call.accept();
    await world.clock.advance(1_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  }
  return { ...world, world, alice, bob };
}

const both = (...windows: CallWindow[]): string[] => windows.map(({ outcome }) => outcome);

describe('states of a call', () => {
  const states = Object.keys(TRANSITIONS) as CallState[];
  const events = Object.keys(TRANSITIONS.idle) as CallEvent[];

  test('every state is reached from idle, and every call can end', () => {
    const reached = new Set<CallState>(['idle']);
    for (const state of reached) for (const event of events) reached.add(nextState(state, event));
    expect([...reached].toSorted()).toEqual(states.toSorted());
    for (const state of states) expect(nextState(state, 'end')).toBe(state === 'idle' ? 'idle' : 'ended');
  });

  test('only another call leads out of the end, and none begins during a call', () => {
    expect(events.filter((event) => nextState('ended', event) !== 'ended')).toEqual(['start', 'invited']);
    for (const state of states.filter((one) => one !== 'idle' && one !== 'ended')) {
      expect([nextState(state, 'start'), nextState(state, 'invited')]).toEqual([state, state]);
    }
  });
});

describe('a call', () => {
  test('rings, is accepted, connects with the media of both, and ends for both when one hangs up', async () => {
    const { alice, bob, clock, live, sent, network } = await twoPeople();
    alice.call.start(CALL);
    expect(alice.call.getSnapshot()).toMatchObject({
      state: 'calling',
      direction: 'outgoing',
      peer: 'bob',
      groupId: '1',
    });
    await clock.advance(100);
    expect(bob.call.getSnapshot()).toMatchObject({
      state: 'ringing',
      direction: 'incoming',
      peer: 'alice',
      video: true,
    });
    expect(live()).toBe(2);
    bob.call.accept();
    await clock.advance(1_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
    for (const { call } of [alice, bob]) {
      const { localStream, remoteStream, startedAt } = call.getSnapshot();
      expect([localStream, remoteStream, startedAt]).not.toContain(null);
    }
    await clock.advance(60_000);
    bob.call.hangUp();
    await clock.advance(10);
    expect(both(alice, bob)).toEqual(['hung-up', 'hung-up']);
    expect([live(), network.open.length, sent.length, clock.timers]).toEqual([0, 0, 0, 0]);
    expect(alice.call.getSnapshot()).toMatchObject({ localStream: null, remoteStream: null, peer: 'bob' });
  });

  test.each([
    ['declined', (bob: CallWindow) => bob.call.decline(), ['declined', 'declined'], 'Declined call'],
    ['missed', () => undefined, ['missed', 'missed'], 'Missed call'],
    ['unavailable', (bob: CallWindow) => bob.connect(false), ['unavailable', 'idle'], 'Missed call'],
  ] as const)('that is %s leaves a message in the group', async (outcome, act, ends, content) => {
    const { alice, bob, clock, sent, live } = await twoPeople();
    if (outcome === 'unavailable') act(bob);
    alice.call.start({ ...CALL, video: false });
    await clock.advance(100);
    if (outcome !== 'unavailable') act(bob);
    await clock.advance(31_000);
    expect(both(alice, bob)).toEqual(ends);
    expect(sent).toEqual([{ userId: 'alice', kind: 'call', content, custom: { outcome, video: false } }]);
    expect([live(), clock.timers]).toEqual([0, 0]);
  });

  test('that its caller gives up is missed by the other', async () => {
    const { alice, bob, clock, sent } = await twoPeople();
    alice.call.start(CALL);
    await clock.advance(5_000);
    alice.call.hangUp();
    await clock.advance(10);
    expect(both(alice, bob)).toEqual(['hung-up', 'missed']);
    expect(sent.map(({ custom }) => custom)).toEqual([{ outcome: 'missed', video: true }]);
  });

  test('of a third is answered with busy, and disturbs nobody', async () => {
    const { world, alice, bob, clock, sent } = await twoPeople({ isConnected: true });
    const carol = world.window('carol');
    const before = bob.call.getSnapshot();
    carol.call.start(CALL);
    await clock.advance(100);
    expect(carol.outcome).toBe('busy');
    expect(bob.call.getSnapshot()).toBe(before);
    expect(sent.map(({ userId, custom }) => [userId, custom])).toEqual([['carol', { outcome: 'busy', video: true }]]);
    await clock.advance(60_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });

  test('rings in all windows of a user, and the first that accepts has it', async () => {
    const { world, alice, bob, clock } = await twoPeople();
    const [second, third] = [world.window('bob'), world.window('bob')];
    alice.call.start(CALL);
    await clock.advance(100);
    expect(both(bob, second, third)).toEqual(['ringing', 'ringing', 'ringing']);
    bob.call.accept();
    second.call.accept();
    await clock.advance(2_000);
    expect(alice.state).toBe('connected');
    expect(both(bob, second, third).toSorted()).toEqual(['connected', 'elsewhere', 'elsewhere']);
    expect(world.live()).toBe(4);
  });

  test('that one window declines stops ringing in the others', async () => {
    const { world, alice, bob, clock } = await twoPeople();
    const second = world.window('bob');
    alice.call.start(CALL);
    await clock.advance(100);
    second.call.decline();
    await clock.advance(10);
    expect(both(alice, bob, second)).toEqual(['declined', 'elsewhere', 'declined']);
  });

  test('is one call where both have called each other', async () => {
    for (let attempt = 0; attempt < 8; attempt += 1) {
      const { alice, bob, clock, live, network } = await twoPeople();
      alice.call.start(CALL);
      bob.call.start({ groupId: 1, userId: 'alice', video: true });
      await clock.advance(1_000);
      expect(both(alice, bob)).toEqual(['connected', 'connected']);
      expect([live(), network.open.length]).toEqual([4, 2]);
      bob.call.hangUp();
      await clock.advance(10);
      expect([...both(alice, bob), live()]).toEqual(['hung-up', 'hung-up', 0]);
    }
  });

  test('to a user who is calling accepts', async () => {
    const { alice, bob, clock } = await twoPeople();
    alice.call.start(CALL);
    await clock.advance(100);
    bob.call.start({ groupId: 1, userId: 'alice', video: false });
    await clock.advance(1_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });

  test('does not begin during another, with oneself, or after the end of all calls', async () => {
    const { alice, clock } = await twoPeople({ isConnected: true });
    expect(() => alice.call.start(CALL)).toThrow('there is one already');
    alice.call.hangUp();
    expect(() => alice.call.start({ ...CALL, userId: 'alice' })).toThrow('there is nobody to call');
    alice.call.close();
    expect(() => alice.call.start(CALL)).toThrow('calls were closed');
    await clock.advance(10);
  });
});

test('a component shows the state of a call, and on a server that there is none', async () => {
  const { alice, clock } = await twoPeople({ isConnected: true });
  const Shown = (): string => useCall(alice.call).state;
  expect(renderToString(createElement(Shown))).toBe('idle');
  alice.call.close();
  await clock.advance(10);
});

describe('the media of a call', () => {
  test('are no longer on when the page goes away, and the other side ends', async () => {
    const { alice, bob, clock, live } = await twoPeople({ isConnected: true });
    expect(live()).toBe(4);
    alice.page.dispatchEvent(new Event('pagehide'));
    expect(live()).toBe(2);
    await clock.advance(10);
    expect([...both(alice, bob), live()]).toEqual(['hung-up', 'hung-up', 0]);
  });

  test('that are not allowed end the call, on either side', async () => {
    const world = callWorld();
    const refused = {
      getMedia: async () => Promise.reject(Object.assign(new Error('no'), { name: 'NotAllowedError' })),
    };
    const [alice, bob] = [world.window('alice', refused), world.window('bob')];
    alice.call.start(CALL);
    await world.clock.advance(100);
    expect(both(alice, bob)).toEqual(['no-media', 'idle']);
    bob.call.start({ ...CALL, userId: 'alice' });
    await world.clock.advance(100);
    alice.call.accept();
    await world.clock.advance(100);
    expect([...both(alice, bob), world.live()]).toEqual(['no-media', 'failed', 0]);
  });

  test('that are allowed only after the end are turned off at once', async () => {
    const world = callWorld();
    const track = { enabled: true, stopped: false, stop: () => (track.stopped = true) };
    const tracks = () => [track];
    let allow: (stream: MediaStream) => void = () => undefined;
    const asked = new Promise<MediaStream>((resolve) => {
      allow = resolve;
    });
    const alice = world.window('alice', { getMedia: async () => asked });
    world.window('bob');
    alice.call.start(CALL);
    await world.clock.advance(100);
    alice.call.hangUp();
    allow({ getTracks: tracks, getAudioTracks: tracks, getVideoTracks: tracks } as never);
    await world.clock.advance(100);
    expect(track.stopped).toBe(true);
    expect([world.signals, world.sent]).toEqual([[], []]);
  });

  test('are sound alone where there is no camera', async () => {
    const world = callWorld();
    const asked: boolean[] = [];
    const track = { enabled: true, stop: () => undefined };
    const alice = world.window('alice', {
      async getMedia({ video }) {
        asked.push(video);
        if (video) throw Object.assign(new Error('no camera'), { name: 'NotFoundError' });
        return { getTracks: () => [track], getAudioTracks: () => [track], getVideoTracks: () => [] } as never;
      },
    });
    const bob = world.window('bob');
    alice.call.start(CALL);
    await world.clock.advance(100);
    bob.call.accept();
    await world.clock.advance(4_000);
    expect([...both(alice, bob), ...asked]).toEqual(['connected', 'connected', true, false]);
    alice.call.setMuted('audio', true);
    expect([track.enabled, alice.call.getSnapshot().muted.audio]).toEqual([false, true]);
  });
});

describe('an interrupted call', () => {
  test('finds another way when the network changes, and is connected again', async () => {
    const { alice, bob, clock, network } = await twoPeople({ isConnected: true });
    network.change();
    await clock.advance(2_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
    await clock.advance(700);
    expect(both(alice, bob)).toContain('reconnecting');
    await clock.advance(3_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });

  test('does not wait where the browser says that the network is another one', async () => {
    const { alice, bob, clock, network } = await twoPeople({ isConnected: true });
    const seen = new Set<string>();
    for (const { call } of [alice, bob]) call.subscribe(() => seen.add(call.getSnapshot().state));
    network.change();
    alice.page.dispatchEvent(new Event('online'));
    await clock.advance(10_000);
    expect([...both(alice, bob), ...seen]).toEqual(['connected', 'connected']);
  });

  test('goes on when the relay is back: an offer that nobody could answer is sent again', async () => {
    const { alice, bob, clock, network } = await twoPeople({ isConnected: true });
    alice.connect(false);
    bob.connect(false);
    network.change();
    await clock.advance(20_000);
    expect(both(alice, bob)).toEqual(['reconnecting', 'reconnecting']);
    alice.connect(true);
    bob.connect(true);
    await clock.advance(5_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });

  test('is lost on both sides when there is no way for half a minute', async () => {
    const { alice, bob, clock, network, live, sent } = await twoPeople({ isConnected: true });
    network.isUp = false;
    await clock.advance(31_000);
    expect(both(alice, bob)).toEqual(['reconnecting', 'reconnecting']);
    await clock.advance(3_000);
    expect([...both(alice, bob), live(), sent.length]).toEqual(['lost', 'lost', 0, 0]);
  });

  test('ends on the other side too where nobody could be told of the end', async () => {
    const { alice, bob, clock, live } = await twoPeople({ isConnected: true });
    alice.connect(false);
    alice.call.hangUp();
    alice.connect(true);
    alice.call.close();
    await clock.advance(45_000);
    expect([...both(alice, bob), live()]).toEqual(['hung-up', 'lost', 0]);
  });
});

describe('a message of a call', () => {
  test('that cannot be read is ignored and warned about', async () => {
    const { alice, bob, clock, log } = await twoPeople({ isConnected: true });
    const name = 'a'.repeat(32);
    const head = { callId: name, from: name };
    const malformed = [
      null,
      {},
      { ...head, video: true, from: 7 },
      { ...head, video: 'yes' },
      { ...head, reason: 'because' },
    ];
    for (const data of malformed) {
      bob.hear({
        groupId: '1',
        fromUserId: 'alice',
        kind: data && 'reason' in data ? 'call:hangup' : 'call:invite',
        data,
      });
    }
    bob.hear({ groupId: '1', fromUserId: 'alice', kind: 'call:dance', data: head });
    const candidates = Array.from({ length: 65 }, () => ({ candidate: 'x' }));
    bob.hear({ groupId: '1', fromUserId: 'alice', kind: 'call:ice', data: { ...head, candidates } });
    bob.hear({ groupId: '1', fromUserId: 'alice', kind: 'reaction', data: { of: 'the application' } });
    await clock.advance(100);
    expect(log.lines).toEqual(Array.from({ length: 7 }, () => 'a message of a call cannot be read'));
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });

  test('about another call, of another user or in another group changes nothing', async () => {
    const { world, alice, bob, clock } = await twoPeople({ isConnected: true });
    const data = world.signals.find(({ kind }) => kind === 'call:invite')?.data as { callId: string; from: string };
    const hangup = { ...data, reason: 'hung-up' };
    bob.hear({ groupId: '1', fromUserId: 'mallory', kind: 'call:hangup', data: hangup });
    bob.hear({ groupId: '2', fromUserId: 'alice', kind: 'call:hangup', data: hangup });
    bob.hear({ groupId: '1', fromUserId: 'alice', kind: 'call:hangup', data: { ...hangup, callId: 'b'.repeat(32) } });
    bob.hear({ groupId: '1', fromUserId: 'alice', kind: 'call:hangup', data: { ...hangup, from: 'b'.repeat(32) } });
    await clock.advance(100);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
    bob.hear({ groupId: '1', fromUserId: 'alice', kind: 'call:hangup', data: hangup });
    expect(bob.outcome).toBe('hung-up');
  });
});
