import { type Position, relationOf } from '@groupcast/shared';

/** The envelope of a `new-message`, as far as the order is judged by it. */
interface Stamp {
  epoch: string | null;
  seq: number | null;
}

export interface TallyResult {
  acknowledged: number;
  failedSends: number;
  /** First copies of messages, over all receivers. */
  deliveries: number;
  /** Pairs of receiver and acknowledged message without a delivery. */
  lost: number;
  /** Further copies of a message to the same receiver. */
  duplicated: number;
  /** First copies whose position is not above that of an earlier delivery to the same receiver. */
  outOfOrder: number;
  /** First copies without a position: their order cannot be judged. */
  unpositioned: number;
}

/**
 * Accounts for every message at every receiver. Messages and receivers are numbered from 0, times are milliseconds of
 * one monotonic clock. A delivery may come before the acknowledgement of its message. Per event nothing is allocated:
 * a bit per pair tells copies apart, a float per pair is its latency.
 */
export interface DeliveryTally {
  sent(message: number, at: number): void;
  acknowledged(message: number): void;
  failed(message: number): void;
  delivered(receiver: number, message: number, at: number, stamp: Stamp): void;
  /** Deliveries so far, copies not counted. */
  readonly deliveries: number;
  /** Deliveries of acknowledged messages that are still to come. */
  readonly outstanding: number;
  /** Called each time `outstanding` falls to 0. */
  onSettled: (() => void) | undefined;
  result(): TallyResult;
  /** From `sent` to `delivered`, one per delivery, in milliseconds: a view that later deliveries do not change. */
  latencies(): Float32Array;
}

export function createDeliveryTally(receivers: number, messages: number): DeliveryTally {
  const PENDING = 0;
  const ACKNOWLEDGED = 1;
  const FAILED = 2;
  const states = new Uint8Array(messages);
  const sentAt = new Float64Array(messages);
  const copies = new Uint16Array(messages);
  const seen = new Uint8Array(Math.ceil((receivers * messages) / 8));
  const latencies = new Float32Array(receivers * messages);
  const cursors: (Position | null)[] = Array.from({ length: receivers }, () => null);
  const counts = { acknowledged: 0, failedSends: 0, deliveries: 0, duplicated: 0, outOfOrder: 0, unpositioned: 0 };
  let outstanding = 0;

  /** Remembers the pair, and says whether it is the first time. */
  function isFirst(receiver: number, message: number): boolean {
    const pair = receiver * messages + message;
    const mask = 1 << (pair & 7);
    const byte = seen[pair >>> 3] ?? 0;
    seen[pair >>> 3] = byte | mask;
    return (byte & mask) === 0;
  }

  function judgeOrder(receiver: number, { epoch, seq }: Stamp): void {
    if (epoch === null || seq === null) {
      counts.unpositioned += 1;
      return;
    }
    const cursor = cursors[receiver];
    const relation = cursor ? relationOf(cursor, { epoch, seq }) : 'newer';
    switch (relation) {
      case 'behind':
      case 'older':
        counts.outOfOrder += 1;
        return;
      case 'next':
      case 'ahead':
      case 'newer':
        cursors[receiver] = { epoch, seq };
        return;
      default: {
        const unreachable: never = relation;
        return unreachable;
      }
    }
  }

  const tally: DeliveryTally = {
    onSettled: undefined,
    get deliveries() {
      return counts.deliveries;
    },
    get outstanding() {
      return outstanding;
    },
    sent(message, at) {
      sentAt[message] = at;
    },
    acknowledged(message) {
      if (states[message] !== PENDING) return;
      states[message] = ACKNOWLEDGED;
      counts.acknowledged += 1;
      outstanding += receivers - (copies[message] ?? 0);
      if (outstanding === 0) tally.onSettled?.();
    },
    failed(message) {
      if (states[message] !== PENDING) return;
      states[message] = FAILED;
      counts.failedSends += 1;
    },
    delivered(receiver, message, at, stamp) {
      if (!isFirst(receiver, message)) {
        counts.duplicated += 1;
        return;
      }
      latencies[counts.deliveries] = at - (sentAt[message] ?? at);
      counts.deliveries += 1;
      copies[message] = (copies[message] ?? 0) + 1;
      judgeOrder(receiver, stamp);
      if (states[message] !== ACKNOWLEDGED) return;
      outstanding -= 1;
      if (outstanding === 0) tally.onSettled?.();
    },
    result: () => ({ ...counts, lost: outstanding }),
    latencies: () => latencies.subarray(0, counts.deliveries),
  };
  return tally;
}
