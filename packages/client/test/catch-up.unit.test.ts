import type { GroupEvent, Position } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import { ClientError } from '../src/errors.ts';
import { type Answer, type CatchUpDeps, createCatchUp } from '../src/inbox/catch-up.ts';
import { createInbox } from '../src/inbox/inbox.ts';
import { manualClock, memoryLogger, turns } from './manual-clock.ts';

const at = (seq: number, epoch = '1-a'): Position => ({ epoch, seq });
const event = (seq: number, epoch = '1-a', groupId = 'g'): GroupEvent => ({
  event: 'x',
  id: `${seq}`,
  groupId,
  epoch,
  seq,
});
const none: Answer = { kind: 'none' };
const unreachable = new ClientError('UNREACHABLE', 'down', { retryable: true });

function page(from: number, to: number, more = false, groupId = 'g'): Answer {
  const events = Array.from({ length: to - from + 1 }, (_, index) => event(from + index, '1-a', groupId));
  return { kind: 'page', page: { events, position: at(to), more } };
}

function setUp(answers: Partial<Pick<CatchUpDeps, 'askRelay' | 'askApi'>>) {
  const clock = manualClock();
  const log = memoryLogger();
  const inbox = createInbox();
  const shown: number[] = [];
  const asked: string[] = [];
  const busy: number[] = [];
  const refused: string[] = [];
  const show = (due: readonly GroupEvent[]): void => void shown.push(...due.map(({ seq }) => seq));
  const catchUp = createCatchUp({
    holdMs: 150,
    lagOf: inbox.lagOf,
    positionOf: inbox.positionOf,
    askRelay: async (groupId, after) => {
      asked.push(`relay ${groupId}>${after.seq}`);
      return answers.askRelay?.(groupId, after) ?? none;
    },
    askApi: async (groupId, after) => {
      asked.push(`api ${groupId}>${after.seq}`);
      return answers.askApi?.(groupId, after) ?? none;
    },
    onPage: (groupId, after, found) => show(inbox.page(groupId, after, found)),
    onReset: (groupId, position) => show(inbox.reset(groupId, position)),
    onSettle: inbox.settle,
    onRefused: (groupId) => refused.push(groupId),
    onBusy: (groups) => busy.push(groups),
    clock,
    random: () => 1,
    log,
  });
  inbox.open('g', at(0));
  const live = (seq: number, epoch?: string): void => {
    show(inbox.receive(event(seq, epoch)));
    catchUp.check('g');
  };
  return { clock, log, inbox, shown, asked, busy, refused, catchUp, live };
}

describe('catch-up', () => {
  test('a gap that closes by itself in time is nobody’s business', async () => {
    const { clock, live, shown, asked } = setUp({});
    live(2);
    await clock.advance(149);
    live(1);
    await clock.advance(1_000);
    expect([shown, asked]).toEqual([[1, 2], []]);
    expect(clock.timers).toBe(0);
  });

  test('one that stays is asked of the relay, and the API is left alone', async () => {
    const { clock, live, shown, asked, busy } = setUp({ askRelay: async () => page(1, 2) });
    live(3);
    await clock.advance(150);
    expect([shown, asked, busy]).toEqual([[1, 2, 3], ['relay g>0'], [1, 0]]);
  });

  test('where the relay has nothing, the API is asked at once', async () => {
    const { clock, live, shown, asked } = setUp({ askApi: async () => page(1, 3) });
    live(3);
    await clock.advance(150);
    expect([shown, asked]).toEqual([
      [1, 2, 3],
      ['relay g>0', 'api g>0'],
    ]);
  });

  test('page after page, as long as there is more', async () => {
    const { catchUp, shown, asked } = setUp({
      askRelay: async (_, { seq }) => (seq < 6 ? page(seq + 1, seq + 2, seq < 4) : none),
    });
    catchUp.force('g', 'relay');
    await turns();
    expect([shown, asked]).toEqual([
      [1, 2, 3, 4, 5, 6],
      ['relay g>0', 'relay g>2', 'relay g>4'],
    ]);
  });

  test('another epoch goes to the API at once, and its word starts the group over', async () => {
    const { live, shown, asked, inbox } = setUp({ askApi: async () => ({ kind: 'reset', position: at(4, '2-b') }) });
    live(6, '2-b');
    live(5, '2-b');
    await turns();
    expect(asked).toEqual(['api g>0']);
    expect(shown).toEqual([5, 6]);
    expect(inbox.positionOf('g')).toEqual(at(6, '2-b'));
  });

  test('an API that is down is asked again, ever more seldom, until it answers; or at once when told to hurry', async () => {
    let up = false;
    const { clock, live, shown, asked, catchUp } = setUp({
      askRelay: async () => none,
      askApi: async () => {
        if (!up) throw unreachable;
        return page(1, 3);
      },
    });
    live(3);
    await clock.advance(150);
    await clock.advance(1_000 + 2_000 + 4_000);
    expect(asked.filter((question) => question.startsWith('api'))).toHaveLength(4);
    up = true;
    catchUp.hurry();
    await turns();
    expect(shown).toEqual([1, 2, 3]);
  });

  test('a refusal is not repeated for a while', async () => {
    const { clock, live, refused, asked } = setUp({
      askApi: async () => {
        throw new ClientError('NOT_FOUND', 'no such group');
      },
    });
    live(3);
    await clock.advance(9_000);
    expect([refused, asked]).toEqual([['g'], ['relay g>0', 'api g>0']]);
  });

  test('an event that nobody has is given up in the end, and the group goes on', async () => {
    const { clock, live, shown, asked, inbox, log } = setUp({ askApi: async () => page(1, 2) });
    live(5);
    await clock.advance(60_000);
    expect(shown).toEqual([1, 2]);
    expect(asked.length).toBeLessThan(10);
    expect([inbox.lagOf('g'), log.lines.length]).toEqual(['none', 1]);
    live(3);
    expect(shown).toEqual([1, 2, 3]);
  });

  test('groups are caught up side by side, and the API is not asked for all of them at once', async () => {
    let open = 0;
    let most = 0;
    const release: (() => void)[] = [];
    const { catchUp, inbox, asked } = setUp({
      askApi: async (groupId) => {
        open += 1;
        most = Math.max(most, open);
        await new Promise<void>((resolve) => release.push(resolve));
        open -= 1;
        return page(1, 1, false, groupId);
      },
    });
    for (let n = 0; n < 20; n += 1) {
      inbox.open(`g${n}`, at(0));
      inbox.head(`g${n}`, at(1));
      catchUp.check(`g${n}`, 'now');
    }
    for (let round = 0; round < 20; round += 1) {
      await turns();
      release.shift()?.();
    }
    await turns();
    expect([most, catchUp.busy, asked.filter((question) => question.startsWith('api')).length]).toEqual([4, 0, 20]);
  });

  test('stopped, it asks nothing more and leaves no timer', async () => {
    const { clock, live, asked, catchUp } = setUp({ askApi: async () => Promise.reject(unreachable) });
    live(3);
    await clock.advance(150);
    const before = asked.length;
    catchUp.stop();
    await clock.advance(60_000);
    live(9);
    await clock.advance(60_000);
    expect([asked.length, clock.timers]).toEqual([before, 0]);
  });

  test('a question that is asked while another one is under way is asked afterwards', async () => {
    const answers: ((answer: Answer) => void)[] = [];
    const { clock, inbox, catchUp, shown } = setUp({ askApi: async () => new Promise((give) => answers.push(give)) });
    inbox.head('g', at(1));
    catchUp.check('g', 'now');
    await turns();
    // The API has taken its snapshot; a relay with an empty log cannot tell what came since.
    catchUp.force('g', 'api');
    answers[0]?.(page(1, 1));
    await turns();
    answers[1]?.(page(2, 2));
    await clock.advance(1_000);
    expect([shown, clock.timers, catchUp.busy]).toEqual([[1, 2], 0, 0]);
  });

  test('an event that comes between the last look and the end of a run is not forgotten', async () => {
    const { clock, inbox, catchUp, shown } = setUp({
      askRelay: async (_, { seq }) => {
        // In the turn in which the run ends.
        if (seq === 0) queueMicrotask(() => queueMicrotask(() => queueMicrotask(hear)));
        return page(seq + 1, seq + 1);
      },
    });
    function hear(): void {
      inbox.head('g', at(2));
      catchUp.check('g', 'now');
    }
    inbox.head('g', at(1));
    catchUp.check('g', 'now');
    await clock.advance(60_000);
    expect(shown).toEqual([1, 2]);
  });

  test('an API that refuses for good is asked ever more seldom, and not at all once the group is left', async () => {
    const refusal = new ClientError('INVALID_PAYLOAD', 'never');
    const { clock, inbox, catchUp, asked, refused } = setUp({ askApi: async () => Promise.reject(refusal) });
    inbox.head('g', at(1));
    for (let n = 0; n < 60; n += 1) {
      catchUp.check('g', 'now');
      await clock.advance(1_000);
    }
    expect([asked.filter((question) => question.startsWith('api')).length, refused.length]).toEqual([3, 3]);
    catchUp.forget('g');
    expect(clock.timers).toBe(0);
  });

  test('the delay that the API names is kept, even when something hurries it', async () => {
    let answered = false;
    const slow = new ClientError('RATE_LIMITED', 'slow down', { retryable: true, retryAfterMs: 20_000 });
    const { clock, inbox, catchUp, asked, shown } = setUp({
      askApi: async () => (answered ? page(1, 1) : Promise.reject(slow)),
    });
    inbox.head('g', at(1));
    catchUp.check('g', 'now');
    await turns();
    answered = true;
    for (let n = 0; n < 10; n += 1) {
      catchUp.hurry();
      await clock.advance(1_000);
    }
    expect([asked.filter((question) => question.startsWith('api')).length, shown]).toEqual([1, []]);
    await clock.advance(10_000);
    expect(shown).toEqual([1]);
  });
});
