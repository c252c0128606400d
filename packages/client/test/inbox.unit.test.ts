import type { GroupEvent, Position } from '@groupcast/shared';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createInbox, type Inbox } from '../src/inbox/inbox.ts';

const G = 'g';
const at = (seq: number, epoch = '1-a'): Position => ({ epoch, seq });
const event = (seq: number, epoch = '1-a', id = `${epoch}:${seq}`): GroupEvent => ({
  event: 'new-message',
  groupId: G,
  id,
  epoch,
  seq,
});
const seqs = (events: readonly GroupEvent[]): number[] => events.map(({ seq }) => seq);

function opened(position = at(0)): Inbox {
  const inbox = createInbox();
  inbox.open(G, position);
  return inbox;
}

describe('inbox', () => {
  test('the next event goes out, a copy does not', () => {
    const inbox = opened();
    expect(seqs(inbox.receive(event(1)))).toEqual([1]);
    expect(inbox.receive(event(1))).toEqual([]);
    expect(inbox.duplicates).toBe(1);
    expect(inbox.positionOf(G)).toEqual(at(1));
  });

  test('an event that comes too early waits for the missing ones', () => {
    const inbox = opened();
    expect(inbox.receive(event(3))).toEqual([]);
    expect(inbox.lagOf(G)).toBe('gap');
    expect(inbox.receive(event(2))).toEqual([]);
    expect(seqs(inbox.receive(event(1)))).toEqual([1, 2, 3]);
    expect(inbox.lagOf(G)).toBe('none');
  });

  test('a head that is ahead is a gap; one that is behind is nothing', () => {
    const inbox = opened(at(5));
    inbox.head(G, at(5));
    inbox.head(G, at(2));
    expect(inbox.lagOf(G)).toBe('none');
    inbox.head(G, at(6));
    expect(inbox.lagOf(G)).toBe('gap');
  });

  test('an event for others is stepped over, at once or when its turn comes', () => {
    const inbox = opened();
    expect(inbox.skip(G, at(1))).toEqual([]);
    expect(inbox.positionOf(G)).toEqual(at(1));
    inbox.skip(G, at(3));
    inbox.receive(event(4));
    expect(inbox.lagOf(G)).toBe('gap');
    expect(seqs(inbox.receive(event(2)))).toEqual([2, 4]);
  });

  test('a page closes the gap, with what it leaves out, and releases what was held', () => {
    const inbox = opened();
    inbox.receive(event(5));
    const page = { events: [event(1), event(3)], position: at(4) };
    expect(seqs(inbox.page(G, at(0), page))).toEqual([1, 3, 5]);
    expect(inbox.lagOf(G)).toBe('none');
  });

  test('a page that overlaps with what came meanwhile brings only the rest', () => {
    const inbox = opened();
    inbox.receive(event(1));
    inbox.receive(event(2));
    expect(seqs(inbox.page(G, at(0), { events: [1, 2, 3].map((seq) => event(seq)), position: at(3) }))).toEqual([3]);
  });

  test('an older epoch is late, a newer one is the API’s to explain', () => {
    const inbox = opened(at(4, '2-b'));
    expect(inbox.receive(event(9, '1-a'))).toEqual([]);
    expect(inbox.lagOf(G)).toBe('none');
    expect(inbox.receive(event(6, '3-c'))).toEqual([]);
    expect(inbox.lagOf(G)).toBe('epoch');
    expect(seqs(inbox.reset(G, at(5, '3-c')))).toEqual([6]);
    expect(inbox.positionOf(G)).toEqual(at(6, '3-c'));
  });

  test('the answer to a question from before a reset is not an answer any more', () => {
    const inbox = opened(at(4));
    inbox.reset(G, at(4, '2-b'));
    expect(inbox.page(G, at(4), { events: [event(5)], position: at(5) })).toEqual([]);
    expect(inbox.positionOf(G)).toEqual(at(4, '2-b'));
    inbox.reset(G, at(2, '2-b'));
    expect(inbox.page(G, at(4, '2-b'), { events: [event(5, '2-b')], position: at(5, '2-b') })).toEqual([]);
  });

  test('a reset may lead back: a restored database knows less than was seen', () => {
    const inbox = opened(at(9));
    inbox.receive(event(11));
    inbox.reset(G, at(9));
    inbox.reset(G, at(4));
    expect(seqs(inbox.receive(event(5, '1-a', 'another')))).toEqual([5]);
    for (const seq of [6, 7, 8, 9]) inbox.receive(event(seq));
    expect(seqs(inbox.receive(event(10, '1-a', 'another')))).toEqual([10]);
  });

  test('before anybody has said where the group stands, events wait', () => {
    const inbox = createInbox();
    expect(inbox.receive(event(3))).toEqual([]);
    expect(inbox.receive(event(4))).toEqual([]);
    expect(inbox.lagOf(G)).toBe('unopened');
    expect(seqs(inbox.open(G, at(2)))).toEqual([3, 4]);
  });

  test('the events that are kept back are bounded, and none is forgotten', () => {
    const inbox = opened();
    for (let seq = 2; seq <= 5_000; seq += 1) inbox.receive(event(seq));
    const due = inbox.receive(event(1));
    expect(seqs(due)).toEqual(Array.from({ length: 1_001 }, (_, index) => index + 1));
    expect(inbox.lagOf(G)).toBe('gap');
  });

  test('groups do not touch each other', () => {
    const inbox = opened();
    inbox.open('h', at(7));
    inbox.receive(event(2));
    expect(seqs(inbox.receive({ ...event(8), groupId: 'h' }))).toEqual([8]);
    expect([inbox.lagOf(G), inbox.lagOf('h')]).toEqual(['gap', 'none']);
    inbox.close('h');
    expect(inbox.positions()).toEqual({ g: at(0) });
  });
});

// A server with one group, whose history may be started over, and a network that delivers what was ever published in any
// order, any number of times, or never. The model says what a client may have shown by then.

interface Server {
  epoch: number;
  /** By `seq`, from 1. */
  history: { id: string; excluded: boolean }[];
  /** Everything that ever was on the wire. */
  wire: { event: GroupEvent; excluded: boolean }[];
  heads: Position[];
}

type Answer = { after: Position } & (
  | { kind: 'reset'; position: Position }
  | { kind: 'page'; events: GroupEvent[]; position: Position }
);

const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish' as const), excluded: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restore' as const), to: fc.nat(8) }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('deliver' as const), which: fc.nat(1_000) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('deliver latest' as const), back: fc.nat(3) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('head' as const), which: fc.nat(1_000) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('ask relay' as const), limit: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('ask api' as const), limit: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('answer' as const), which: fc.nat(100) }) },
);

class Model {
  readonly server: Server = { epoch: 1, history: [], wire: [], heads: [] };
  readonly inbox = createInbox();
  readonly answers: Answer[] = [];
  /** The position of the client, and the events that it has shown since. */
  shown: { epoch: string; seq: number };

  constructor(published: number) {
    for (let n = 0; n < published; n += 1) this.publish(false);
    this.shown = this.head();
    this.inbox.open(G, this.head());
  }

  label = (): string => `${this.server.epoch}-e${this.server.epoch}`;
  head = (): Position => ({ epoch: this.label(), seq: this.server.history.length });
  stored = (seq: number): GroupEvent => event(seq, this.label(), this.server.history[seq - 1]?.id);

  publish(excluded: boolean): void {
    this.server.history.push({ id: `e${this.server.epoch}-${this.server.history.length + 1}`, excluded });
    this.server.wire.push({ event: this.stored(this.server.history.length), excluded });
    this.server.heads.push(this.head());
  }

  /** A backup is restored, and the API opens the next generation on it. */
  restore(to: number): void {
    this.server.history.length = Math.min(this.server.history.length, to);
    this.server.epoch += 1;
    this.server.heads.push(this.head());
  }

  /** Everything due is the next of its epoch, but for what was not for this user. */
  check(due: readonly GroupEvent[], mayReset = false): void {
    for (const { epoch, seq } of due) {
      expect(epoch).toBe(this.shown.epoch);
      expect(seq).toBeGreaterThan(this.shown.seq);
      const between = this.server.wire.filter(
        (item) => item.event.epoch === epoch && item.event.seq > this.shown.seq && item.event.seq < seq,
      );
      // Places from before a restore are on no wire of the new epoch: they came by a page, which is in order itself.
      expect(between.every(({ excluded }) => excluded)).toBe(true);
      this.shown = { epoch, seq };
    }
    const position = this.inbox.positionOf(G);
    if (!mayReset) expect(position?.epoch).toBe(this.shown.epoch);
    expect(position?.seq).toBeGreaterThanOrEqual(this.shown.seq);
  }

  deliver(item: Server['wire'][number] | undefined): void {
    if (!item) return;
    const { epoch, seq } = item.event;
    this.check(item.excluded ? this.inbox.skip(G, { epoch, seq }) : this.inbox.receive(item.event));
  }

  ask(source: 'relay' | 'api', limit: number): Answer | undefined {
    const after = this.inbox.positionOf(G) as Position;
    const { epoch, seq: head } = this.head();
    if (after.epoch !== epoch || after.seq > head) {
      return source === 'api' ? { kind: 'reset', after, position: this.head() } : undefined;
    }
    const to = Math.min(head, after.seq + limit);
    const events: GroupEvent[] = [];
    for (let seq = after.seq + 1; seq <= to; seq += 1) {
      if (source === 'api' || this.server.history[seq - 1]?.excluded !== true) events.push(this.stored(seq));
    }
    return { kind: 'page', after, events, position: { epoch, seq: to } };
  }

  take(answer: Answer | undefined): void {
    if (!answer) return;
    if (answer.kind === 'page') {
      this.check(this.inbox.page(G, answer.after, answer));
      return;
    }
    // The rest of the client forgets such an answer too: it compares the position that it asked from.
    const now = this.inbox.positionOf(G);
    if (now?.epoch !== answer.after.epoch) return;
    const due = this.inbox.reset(G, answer.position);
    this.shown = { ...answer.position };
    this.check(due);
  }
}

describe('inbox against a model', () => {
  test('whatever the network does, events come once, in order, and in the end all of them (G19)', () => {
    let runs = 0;
    let resets = 0;
    fc.assert(
      fc.property(fc.nat(4), fc.array(command, { maxLength: 60 }), (published, commands) => {
        runs += 1;
        const model = new Model(published);
        const { server, inbox, answers } = model;
        for (const step of commands) {
          if (step.do === 'publish') model.publish(step.excluded);
          else if (step.do === 'restore') model.restore(step.to);
          else if (step.do === 'deliver') model.deliver(server.wire[step.which % (server.wire.length || 1)]);
          else if (step.do === 'deliver latest') model.deliver(server.wire.at(-1 - step.back));
          else if (step.do === 'answer') model.take(answers.splice(step.which % (answers.length || 1), 1)[0]);
          else if (step.do === 'head') {
            const head = server.heads[step.which % (server.heads.length || 1)];
            if (head) inbox.head(G, head);
          } else {
            const answer = model.ask(step.do === 'ask relay' ? 'relay' : 'api', step.limit);
            if (answer) answers.push(answer);
            if (answer?.kind === 'reset') resets += 1;
          }
        }
        // The network is well again: the head is told, and questions are answered.
        inbox.head(G, model.head());
        for (let rounds = 0; inbox.lagOf(G) !== 'none'; rounds += 1) {
          expect(rounds).toBeLessThan(200);
          model.take(model.ask('api', 5));
        }
        expect(inbox.positionOf(G)).toEqual(model.head());
      }),
      { numRuns: 5_000 },
    );
    // There are about 130, by chance.
    expect([runs, resets > 20]).toEqual([5_000, true]);
  });
});
