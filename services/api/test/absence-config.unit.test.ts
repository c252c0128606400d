import { TEST_SECRETS } from '@groupcast/testing';
import { expect, test } from 'vitest';
import { inPackets } from '../src/absences/absence-questions.ts';
import { readApiConfig } from '../src/config.ts';

const KEY = Buffer.alloc(32, 7);
const SET = {
  ABSENT_WEBHOOK_URL: 'https://push.example.com/absent?of=chat',
  ABSENT_WEBHOOK_SECRET: `whsec_${KEY.toString('base64')}`,
};
const read = (env: Readonly<Record<string, string>>) => readApiConfig({ ...TEST_SECRETS, ...env }).absences;

test('the webhook is off unless it is set, and has a key and a time', () => {
  expect(read({})).toBeUndefined();
  expect(read(SET)).toEqual({ url: SET.ABSENT_WEBHOOK_URL, secret: KEY, afterMs: 5_000 });
  expect(read({ ...SET, ABSENT_AFTER_MS: '250' })?.afterMs).toBe(250);
});

test.each([
  [{ ABSENT_WEBHOOK_SECRET: '' }, /ABSENT_WEBHOOK_SECRET must be set with ABSENT_WEBHOOK_URL/],
  [{ ABSENT_WEBHOOK_SECRET: KEY.toString('base64') }, /"whsec_" and 24 to 64 bytes in base64/],
  [{ ABSENT_WEBHOOK_SECRET: `whsec_${Buffer.alloc(16).toString('base64')}` }, /24 to 64 bytes/],
  [{ ABSENT_WEBHOOK_SECRET: `whsec_${'ä'.repeat(40)}` }, /in base64/],
  [{ ABSENT_WEBHOOK_URL: '' }, /ABSENT_WEBHOOK_SECRET must not be set without ABSENT_WEBHOOK_URL/],
  [{ ABSENT_WEBHOOK_URL: 'ftp://push.example.com' }, /ABSENT_WEBHOOK_URL must be a URL that starts with http/],
  [{ ABSENT_WEBHOOK_URL: 'https://me:pass@push.example.com' }, /must not hold a user name or password/],
  [{ ABSENT_AFTER_MS: '30001' }, /ABSENT_AFTER_MS/],
])('refuses %j', (change, message) => {
  expect(() => read({ ...SET, ...change })).toThrow(message);
});

test('a question about the largest group, with the longest ids, is divided into packets that a relay takes', () => {
  const userIds = Array.from({ length: 10_000 }, (_, index) => `"${String(index).padStart(254, '\\')}`);
  const packets = inPackets(userIds);
  expect(packets.flat()).toEqual(userIds);
  expect(packets.length).toBeGreaterThan(1);
  for (const packet of packets) expect(JSON.stringify(packet).length).toBeLessThan(500_000);
  expect(inPackets(['bob', 'carol'])).toEqual([['bob', 'carol']]);
});
