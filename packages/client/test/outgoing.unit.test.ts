import type { Message } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import type { NewMessage } from '../src/api/api.ts';
import { ClientError } from '../src/errors.ts';
import { createOutgoing } from '../src/messages/outgoing.ts';
import { manualClock, memoryLogger, turns } from './manual-clock.ts';

const unreachable = new ClientError('UNREACHABLE', 'down', { retryable: true });
const tooLarge = new ClientError('PAYLOAD_TOO_LARGE', 'too large');

function savedAs({ content, clientMessageId }: NewMessage, groupId = 'g'): Message {
  const place = { epoch: '1-a', seq: 1, createdAt: '', sender: { userId: 'me' }, kind: 'text' };
  return { id: `id-${clientMessageId}`, groupId, senderId: 'me', content, clientMessageId, ...place };
}

function setUp(send: (message: NewMessage, groupId: string) => Promise<Message>) {
  const clock = manualClock();
  const requests: string[] = [];
  const saved: string[] = [];
  const outgoing = createOutgoing({
    send: async (groupId, message) => {
      requests.push(message.content);
      return send(message, groupId);
    },
    giveUpAfterMs: 60_000,
    onChange: () => undefined,
    onSaved({ content }, settle) {
      saved.push(content);
      settle();
    },
    clock,
    random: () => 1,
    log: memoryLogger(),
  });
  const say = (content: string, groupId = 'g') => outgoing.send(groupId, { content, clientMessageId: content });
  const states = (groupId = 'g'): string[] =>
    outgoing.pendingOf(groupId).map(({ content, status }) => `${content} ${status}`);
  return { clock, requests, saved, outgoing, say, states };
}

describe('outgoing messages', () => {
  test('are there at once, and gone when the answer is', async () => {
    const { say, states, saved } = setUp(async (message) => savedAs(message));
    const { saved: promise } = say('a');
    expect(states()).toEqual(['a sending']);
    expect((await promise).id).toBe('id-a');
    expect([states(), saved]).toEqual([[], ['a']]);
  });

  test('leave one at a time, in order; other groups do not wait', async () => {
    const answers = new Map<string, () => void>();
    const { say, requests } = setUp(async (message, groupId) => {
      await new Promise<void>((resolve) => answers.set(message.content, resolve));
      return savedAs(message, groupId);
    });
    say('a');
    say('b');
    say('x', 'h');
    await turns();
    expect(requests).toEqual(['a', 'x']);
    answers.get('a')?.();
    await turns();
    expect(requests).toEqual(['a', 'x', 'b']);
  });

  test('are repeated under the same id until the API answers, and keep their order (G20)', async () => {
    let failures = 3;
    const { say, requests, clock, states } = setUp(async (message) => {
      failures -= 1;
      if (failures >= 0) throw unreachable;
      return savedAs(message);
    });
    const first = say('a');
    const second = say('b');
    await clock.advance(10_000);
    await Promise.all([first.saved, second.saved]);
    expect([requests, states()]).toEqual([['a', 'a', 'a', 'a', 'b'], []]);
  });

  test('are settled by the event too, whether the answer comes before, later or never', async () => {
    const { say, outgoing, states, saved, requests } = setUp(async () => new Promise(() => undefined));
    const { saved: promise } = say('a');
    say('b');
    await turns();
    outgoing.settle(savedAs({ content: 'a', clientMessageId: 'a' }));
    expect((await promise).id).toBe('id-a');
    await turns();
    expect([states(), saved, requests]).toEqual([['b sending'], [], ['a', 'b']]);
  });

  test('the event of another group or another message settles nothing', () => {
    const { say, outgoing, states } = setUp(async () => new Promise(() => undefined));
    say('a');
    outgoing.settle(savedAs({ content: 'a', clientMessageId: 'a' }, 'h'));
    outgoing.settle(savedAs({ content: 'b', clientMessageId: 'b' }));
    const { clientMessageId: _, ...without } = savedAs({ content: 'a', clientMessageId: 'a' });
    outgoing.settle(without);
    expect(states()).toEqual(['a sending']);
  });

  test('a refused message fails with the reason, the next goes on, and retry sends it again under its id (G20)', async () => {
    let refuse = true;
    const { say, states, requests, outgoing } = setUp(async (message) => {
      if (message.content === 'a' && refuse) throw tooLarge;
      return savedAs(message);
    });
    const { saved } = say('a');
    await say('b').saved;
    await expect(saved).rejects.toBe(tooLarge);
    expect(states()).toEqual(['a failed']);
    expect(outgoing.pendingOf('g')[0]?.error?.code).toBe('PAYLOAD_TOO_LARGE');
    refuse = false;
    await outgoing.retry('a').saved;
    expect([states(), requests]).toEqual([[], ['a', 'b', 'a']]);
    expect(() => outgoing.retry('a')).toThrow(TypeError);
  });

  test('a message that failed and is saved after all settles when its event comes', async () => {
    const { say, states, outgoing } = setUp(async () => Promise.reject(tooLarge));
    await expect(say('a').saved).rejects.toBe(tooLarge);
    outgoing.settle(savedAs({ content: 'a', clientMessageId: 'a' }));
    expect(states()).toEqual([]);
  });

  test('fails when the outage lasts too long; discard takes it away', async () => {
    const { say, states, clock, outgoing } = setUp(async () => Promise.reject(unreachable));
    const { saved } = say('a');
    await clock.advance(61_000);
    await expect(saved).rejects.toBe(unreachable);
    expect(states()).toEqual(['a failed']);
    outgoing.discard('a');
    expect([states(), clock.timers]).toEqual([[], 0]);
  });

  test('nobody has to look at the promise', async () => {
    const { say, clock } = setUp(async () => Promise.reject(tooLarge));
    say('a');
    await clock.advance(10);
  });

  test('the same array until something has changed; the same id twice is refused while it is on its way', () => {
    const { say, outgoing } = setUp(async () => new Promise(() => undefined));
    say('a');
    expect(outgoing.pendingOf('g')).toBe(outgoing.pendingOf('g'));
    expect(outgoing.pendingOf('h')).toBe(outgoing.pendingOf('h'));
    expect(() => say('a')).toThrow(TypeError);
  });

  test('stopped, everything that waits fails with CLOSED and leaves no timer', async () => {
    const { say, outgoing, clock, requests } = setUp(async () => Promise.reject(unreachable));
    const first = say('a').saved;
    const second = say('b').saved;
    await clock.advance(10);
    outgoing.stop();
    await expect(first).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(second).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(say('c').saved).rejects.toMatchObject({ code: 'CLOSED' });
    await clock.advance(60_000);
    expect([requests, clock.timers]).toEqual([['a'], 0]);
  });

  test('a key is the message’s own: a copied clientMessageId does not get it', async () => {
    const { say, outgoing } = setUp(async (message) => savedAs(message));
    const message = await say('a').saved;
    expect([outgoing.keyOf(message), outgoing.keyOf({ ...message, id: 'copied' })]).toEqual(['a', 'copied']);
  });

  test('keys of long ago are forgotten', async () => {
    const { say, outgoing } = setUp(async (message) => savedAs(message));
    const first = await say('0').saved;
    for (let n = 1; n <= 10_000; n += 1) await say(String(n)).saved;
    expect(outgoing.keyOf(first)).toBe('id-0');
  });

  test('a delay that the API asked for is not cut short, however often somebody hurries', async () => {
    const slow = new ClientError('RATE_LIMITED', 'slow down', { retryable: true, retryAfterMs: 30_000 });
    const { say, requests, outgoing, clock } = setUp(async () => Promise.reject(slow));
    say('a');
    await turns();
    for (let n = 0; n < 20; n += 1) {
      outgoing.hurry();
      await clock.advance(1_000);
    }
    expect(requests.length).toBe(1);
    await clock.advance(10_000);
    expect(requests.length).toBe(2);
    outgoing.stop();
  });
});
