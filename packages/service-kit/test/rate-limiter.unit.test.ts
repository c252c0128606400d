import { addressKey } from '@groupcast/service-kit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRateLimiter } from '../src/rate-limiter.ts';

describe('a rate limiter', () => {
  test('spends a minute’s budget at once, says when there is more, and refills', () => {
    let now = 1_000_000;
    const limiter = createRateLimiter({ perMinute: 60, now: () => now });
    for (let n = 0; n < 60; n += 1) expect(limiter.take('a')).toBeUndefined();
    expect(limiter.take('a')).toBe(1_000);
    expect(limiter.take('b')).toBeUndefined();
    now += 999;
    expect(limiter.take('a')).toBe(1);
    now += 1;
    expect(limiter.take('a')).toBeUndefined();
    expect(limiter.take('a')).toBe(1_000);
    now += 60_000;
    for (let n = 0; n < 60; n += 1) expect(limiter.take('a')).toBeUndefined();
    expect(limiter.take('a')).toBe(1_000);
  });

  test('gives no key more than two budgets in any minute, and no more than its wait', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.array(fc.integer({ min: 0, max: 5_000 })),
        (perMinute, pauses) => {
          let now = 0;
          const limiter = createRateLimiter({ perMinute, now: () => now });
          const taken: number[] = [];
          for (const pause of pauses) {
            now += pause;
            const wait = limiter.take('a');
            if (wait === undefined) taken.push(now);
            else {
              now += wait;
              expect(limiter.take('a')).toBeUndefined();
              taken.push(now);
            }
          }
          for (const from of taken) {
            expect(taken.filter((at) => at >= from && at < from + 60_000).length).toBeLessThanOrEqual(
              2 * perMinute + 1,
            );
          }
        },
      ),
    );
  });

  test('remembers a bounded number of keys, those that asked last', () => {
    const limiter = createRateLimiter({ perMinute: 1, maxKeys: 3, now: () => 0 });
    for (const key of ['a', 'b', 'c', 'd']) expect(limiter.take(key)).toBeUndefined();
    expect(limiter.size).toBe(3);
    expect(limiter.take('d')).toBeGreaterThan(0);
    expect(limiter.take('a')).toBeUndefined();
  });
});

describe('an address', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['not an address', 'not an address'],
  ])('%s is counted as %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });

  test('is one of few keys for all of a /64, and its key has a bound', () => {
    const groups = fc.array(fc.integer({ min: 0, max: 0xff_ff }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(groups, groups, (one, other) => {
        const write = (parts: number[]): string => parts.map((part) => part.toString(16)).join(':');
        const sameNet = [...one.slice(0, 4), ...other.slice(4)];
        if (one.slice(0, 6).some(Boolean)) expect(addressKey(write(sameNet))).toBe(addressKey(write(one)));
      }),
    );
    expect(addressKey('x'.repeat(10_000)).length).toBeLessThan(100);
  });
});
