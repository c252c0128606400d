import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { createDeliveryTally, type DeliveryTally } from '../src/broadcast-test/delivery-tally.ts';

const EPOCH = '1-abc';
const at = (seq: number, epoch = EPOCH) => ({ epoch, seq });

/** Sends and acknowledges messages 0 to `count - 1`, at `index` milliseconds. */
function sendAll(tally: DeliveryTally, count: number): void {
  for (let index = 0; index < count; index += 1) {
    tally.sent(index, index);
    tally.acknowledged(index);
  }
}

describe('delivery tally', () => {
  it('finds nothing wrong where every receiver gets every message once and in order', () => {
    const tally = createDeliveryTally(2, 3);
    sendAll(tally, 3);
    for (const receiver of [0, 1])
      for (const message of [0, 1, 2]) tally.delivered(receiver, message, 10, at(message + 2));
    expect(tally.result()).toEqual({
      acknowledged: 3,
      failedSends: 0,
      deliveries: 6,
      lost: 0,
      duplicated: 0,
      outOfOrder: 0,
      unpositioned: 0,
    });
  });

  it('counts a message as lost for each receiver that did not get it', () => {
    const tally = createDeliveryTally(3, 2);
    sendAll(tally, 2);
    tally.delivered(0, 0, 1, at(1));
    tally.delivered(0, 1, 2, at(2));
    tally.delivered(1, 1, 2, at(2));
    expect(tally.result()).toMatchObject({ deliveries: 3, lost: 3, outOfOrder: 0 });
  });

  it('counts every further copy at the same receiver, and keeps the first latency', () => {
    const tally = createDeliveryTally(2, 1);
    sendAll(tally, 1);
    tally.delivered(0, 0, 5, at(1));
    tally.delivered(0, 0, 50, at(1));
    tally.delivered(0, 0, 60, at(1));
    tally.delivered(1, 0, 6, at(1));
    expect(tally.result()).toMatchObject({ deliveries: 2, duplicated: 2, lost: 0, outOfOrder: 0 });
    expect([...tally.latencies()]).toEqual([5, 6]);
  });

  it('judges order per receiver: a late event counts once, and those after it are fine', () => {
    const tally = createDeliveryTally(2, 4);
    sendAll(tally, 4);
    for (const message of [0, 2, 1, 3]) tally.delivered(0, message, 9, at(message + 1));
    for (const message of [0, 1, 2, 3]) tally.delivered(1, message, 9, at(message + 1));
    expect(tally.result()).toMatchObject({ outOfOrder: 1, lost: 0, duplicated: 0 });
  });

  it('takes the same position twice for out of order', () => {
    const tally = createDeliveryTally(1, 2);
    sendAll(tally, 2);
    tally.delivered(0, 0, 1, at(7));
    tally.delivered(0, 1, 2, at(7));
    expect(tally.result().outOfOrder).toBe(1);
  });

  it('goes on in a higher generation, not in a lower one', () => {
    const tally = createDeliveryTally(1, 4);
    sendAll(tally, 4);
    tally.delivered(0, 0, 1, at(100, '9-a'));
    tally.delivered(0, 1, 1, at(1, '10-b'));
    tally.delivered(0, 2, 1, at(101, '9-a'));
    tally.delivered(0, 3, 1, at(2, '10-b'));
    expect(tally.result().outOfOrder).toBe(1);
  });

  it('keeps deliveries without a position apart', () => {
    const tally = createDeliveryTally(1, 2);
    sendAll(tally, 2);
    tally.delivered(0, 0, 1, { epoch: null, seq: null });
    tally.delivered(0, 1, 1, at(1));
    expect(tally.result()).toMatchObject({ unpositioned: 1, outOfOrder: 0, lost: 0 });
  });

  it('does not expect a message whose send failed, though it may come', () => {
    const tally = createDeliveryTally(2, 2);
    tally.sent(0, 0);
    tally.failed(0);
    tally.sent(1, 0);
    tally.failed(1);
    tally.delivered(0, 1, 3, at(1));
    expect(tally.result()).toMatchObject({ failedSends: 2, acknowledged: 0, deliveries: 1, lost: 0 });
  });

  it('measures from the send, also where the delivery comes before the acknowledgement', () => {
    const tally = createDeliveryTally(1, 2);
    tally.sent(0, 1_000.25);
    tally.delivered(0, 0, 1_003.5, at(1));
    tally.acknowledged(0);
    expect([...tally.latencies()]).toEqual([3.25]);
    expect(tally.result().lost).toBe(0);
  });

  it('tells when nothing is outstanding any more', () => {
    const tally = createDeliveryTally(2, 1);
    const settled = vi.fn<() => void>();
    tally.onSettled = settled;
    tally.sent(0, 0);
    tally.delivered(0, 0, 1, at(1));
    tally.acknowledged(0);
    expect(tally.outstanding).toBe(1);
    expect(settled).not.toHaveBeenCalled();
    tally.delivered(1, 0, 1, at(1));
    expect(settled).toHaveBeenCalledOnce();
  });

  it('agrees with a plain count, whatever arrives', () => {
    const [receivers, messages] = [5, 7];
    const arrivals = fc.array(fc.tuple(fc.nat({ max: receivers - 1 }), fc.nat({ max: messages - 1 })), {
      maxLength: 120,
    });
    fc.assert(
      fc.property(
        arrivals,
        fc.array(fc.boolean(), { minLength: messages, maxLength: messages }),
        (events, acknowledged) => {
          const tally = createDeliveryTally(receivers, messages);
          for (const [receiver, message] of events) tally.delivered(receiver, message, 1, at(message + 1));
          for (const [message, ok] of acknowledged.entries()) {
            if (ok) tally.acknowledged(message);
            else tally.failed(message);
          }
          const pairs = new Set(events.map(([receiver, message]) => receiver * messages + message));
          const missing = Array.from({ length: receivers * messages }, (_, pair) => pair).filter(
            (pair) => acknowledged[pair % messages] === true && !pairs.has(pair),
          );
          expect(tally.result()).toMatchObject({
            deliveries: pairs.size,
            duplicated: events.length - pairs.size,
            lost: missing.length,
          });
        },
      ),
    );
  });
});
