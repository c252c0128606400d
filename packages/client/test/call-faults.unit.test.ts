import { describe, expect, test } from 'vitest';
import { type CallWindow, type CallWorld, callWorld } from './call-harness.ts';

const CALL = { groupId: 1, userId: 'bob', video: true };
const both = (...windows: CallWindow[]): string[] => windows.map(({ outcome }) => outcome);

/** A world in which Alice calls Bob, who rings. */
async function ringing(change: (world: CallWorld) => void = () => undefined) {
  const world = callWorld();
  change(world);
  const [alice, bob] = [world.window('alice'), world.window('bob')];
  alice.call.start(CALL);
  await world.clock.advance(100);
  return { ...world, world, alice, bob };
}

async function connected() {
  const all = await ringing();
  all.bob.call.accept();
  await all.clock.advance(1_000);
  expect(both(all.alice, all.bob)).toEqual(['connected', 'connected']);
  return all;
}

/** Loses the first signals of a kind. */
function losing(kind: string, times = 1): (world: CallWorld) => void {
  let left = times;
  return (world) =>
    world.setFate((signal) => {
      if (signal.kind !== `call:${kind}` || left === 0) return [1];
      left -= 1;
      return [];
    });
}

/** Everything of a kind that was sent, in the shape in which it comes. */
const sent = ({ signals }: Pick<CallWorld, 'signals'>, kind: string) =>
  signals
    .filter((signal) => signal.kind === `call:${kind}`)
    .map(({ fromUserId, data }) => ({ groupId: '1', fromUserId, kind: `call:${kind}`, data }));

describe('a signal that is lost', () => {
  test.each(['accept', 'offer', 'answer'])('is sent again: %s', async (kind) => {
    const { alice, bob, clock } = await ringing(losing(kind));
    bob.call.accept();
    await clock.advance(6_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });

  test('is sent again: the invitation, and the candidates', async () => {
    const { world, alice, bob, clock } = await ringing(losing('invite'));
    expect(bob.state).toBe('idle');
    await clock.advance(2_000);
    expect(bob.state).toBe('ringing');
    losing('ice', 4)(world);
    bob.call.accept();
    await clock.advance(6_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });

  test('is no loss where it was the last word: the other asks, and hears it again', async () => {
    const { world, alice, bob, clock } = await connected();
    losing('hangup')(world);
    alice.call.hangUp();
    await clock.advance(8_000);
    expect(both(alice, bob)).toEqual(['hung-up', 'hung-up']);
  });

  test('because the relay was away is sent when it is back, at once', async () => {
    const { alice, bob, clock } = await ringing();
    alice.connect(false);
    alice.call.hangUp();
    await clock.advance(3_000);
    expect(bob.state).toBe('ringing');
    alice.connect(true);
    await clock.advance(1_500);
    expect(bob.outcome).toBe('missed');

    const other = await connected();
    other.alice.connect(false);
    other.network.change();
    await other.clock.advance(5_500);
    const before = other.signals.filter(({ fromUserId }) => fromUserId === 'alice').length;
    other.alice.connect(true);
    await other.clock.advance(1);
    expect(other.signals.filter(({ fromUserId }) => fromUserId === 'alice').length).toBeGreaterThan(before);
  });
});

describe('a signal that comes late or twice', () => {
  test('does no harm: candidates before their offer', async () => {
    const { alice, bob, clock } = await ringing((world) => {
      world.setFate(({ kind }) => [kind === 'call:offer' ? 400 : 1]);
    });
    bob.call.accept();
    await clock.advance(1_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });

  test('does no harm: an old offer, and an old answer while another offer waits', async () => {
    const all = await connected();
    const { world, alice, bob, clock, network, log } = all;
    const [offer] = sent(all, 'offer');
    const [answer] = sent(all, 'answer');
    network.change();
    alice.page.dispatchEvent(new Event('online'));
    await clock.advance(1_000);
    const seen = new Set<string>();
    for (const { call } of [alice, bob]) call.subscribe(() => seen.add(call.getSnapshot().state));
    bob.hear(offer);
    await clock.advance(10_000);
    losing('offer')(world);
    alice.page.dispatchEvent(new Event('online'));
    await clock.advance(20);
    alice.hear(answer);
    await clock.advance(10_000);
    expect([...both(alice, bob), ...seen, ...log.lines]).toEqual(['connected', 'connected']);
  });

  test('gets the same answer: an offer twice in one moment', async () => {
    const all = await ringing(losing('offer'));
    all.bob.call.accept();
    await all.clock.advance(100);
    const [offer] = sent(all, 'offer');
    all.bob.hear(offer);
    all.bob.hear(offer);
    await all.clock.advance(500);
    const answers = sent(all, 'answer').map(({ data }) => data);
    expect(answers).toEqual([answers[0], answers[0]]);
    expect([...both(all.alice, all.bob), ...all.log.lines]).toEqual(['connected', 'connected']);
  });

  test('rings no more: an invitation after its end', async () => {
    const all = await ringing();
    const late = all.world.window('bob');
    all.alice.call.hangUp();
    await all.clock.advance(10);
    const [invite] = sent(all, 'invite');
    late.hear(invite);
    all.bob.hear(invite);
    await all.clock.advance(10);
    expect(both(late, all.bob)).toEqual(['idle', 'missed']);
  });

  test('changes nothing: the invitation that lost against another, after a call came about', async () => {
    const world = callWorld();
    world.setFate(({ kind }) => (kind === 'call:hangup' ? [] : [1]));
    const [alice, bob] = [world.window('alice'), world.window('bob')];
    alice.call.start(CALL);
    bob.call.start({ ...CALL, userId: 'alice' });
    await world.clock.advance(1_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
    for (const invite of sent(world, 'invite')) (invite.fromUserId === 'alice' ? bob : alice).hear(invite);
    await world.clock.advance(1_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });
});

describe('windows that were away', () => {
  test('or are closed while they ring leave it to the others to answer', async () => {
    const { world, alice, bob, clock } = await ringing();
    const second = world.window('bob');
    await clock.advance(2_000);
    bob.page.dispatchEvent(new Event('pagehide'));
    await clock.advance(5_000);
    expect(both(alice, second)).toEqual(['calling', 'ringing']);
    second.call.accept();
    await clock.advance(1_000);
    expect(both(alice, second)).toEqual(['connected', 'connected']);
  });

  test('hear that another has answered when they accept', async () => {
    const { world, alice, bob, clock } = await ringing();
    const second = world.window('bob');
    await clock.advance(2_000);
    expect(second.state).toBe('ringing');
    second.connect(false);
    bob.call.accept();
    await clock.advance(2_000);
    second.connect(true);
    second.call.accept();
    await clock.advance(500);
    expect([...both(alice, bob, second), world.live()]).toEqual(['connected', 'connected', 'elsewhere', 4]);
  });

  test('and have been opened again may call again: the call that is no more gives way', async () => {
    const { world, alice, bob, clock } = await connected();
    alice.connect(false);
    alice.call.close();
    const again = world.window('alice');
    await clock.advance(4_000);
    expect(bob.state).toBe('reconnecting');
    again.call.start(CALL);
    await clock.advance(100);
    expect(bob.state).toBe('ringing');
    bob.call.accept();
    await clock.advance(1_000);
    expect([...both(again, bob), world.live()]).toEqual(['connected', 'connected', 4]);
  });
});

describe('servers that help to connect', () => {
  const serversOf = ({ network }: CallWorld): unknown[] =>
    network.open.map((pc) => pc.getConfiguration().iceServers?.map(({ urls }) => urls));

  test('are asked for again before another attempt, because their credentials may have ended', async () => {
    const { world, alice, bob, clock, network } = await connected();
    expect(serversOf(world).flat().toSorted()).toEqual(['turn:1.example.com', 'turn:2.example.com']);
    await clock.advance(60_000);
    network.change();
    await clock.advance(5_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
    expect(serversOf(world).flat().toSorted()).toEqual(['turn:3.example.com', 'turn:4.example.com']);
  });

  test('are not waited for: a call begins without them', async () => {
    const { world, alice, bob, clock, log } = await ringing((all) => {
      all.iceServers = async () => new Promise(() => undefined);
    });
    expect(alice.state).toBe('calling');
    await clock.advance(3_000);
    bob.call.accept();
    await clock.advance(4_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
    expect(serversOf(world)).toEqual([[], []]);
    expect(new Set(log.lines)).toEqual(new Set(['a call goes on without servers that find a way through the network']));
  });
});

describe('a connection that does not come about', () => {
  test('ends the call on both sides, and is no missed call', async () => {
    const { alice, bob, clock, network, live, sent: messages } = await ringing();
    network.isUp = false;
    bob.call.accept();
    await clock.advance(29_000);
    expect(both(alice, bob)).toEqual(['connecting', 'connecting']);
    await clock.advance(2_000);
    expect([...both(alice, bob), live(), messages.length]).toEqual(['failed', 'failed', 0, 0]);
  });

  test('is tried again in another way', async () => {
    const { alice, bob, clock, network } = await ringing();
    network.isUp = false;
    bob.call.accept();
    await clock.advance(5_000);
    network.change();
    network.isUp = true;
    await clock.advance(12_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });

  test('is tried again at once where the browser says that it has failed', async () => {
    const world = callWorld();
    const patient = { disconnectedMs: 60_000 };
    const [alice, bob] = [world.window('alice', patient), world.window('bob', patient)];
    alice.call.start(CALL);
    await world.clock.advance(100);
    bob.call.accept();
    await world.clock.advance(1_000);
    world.network.change();
    await world.clock.advance(5_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
    await world.clock.advance(1_600);
    expect(both(alice, bob)).toContain('reconnecting');
    await world.clock.advance(2_000);
    expect(both(alice, bob)).toEqual(['connected', 'connected']);
  });
});
