import type { IncomingMessage } from 'node:http';
import { nearestEvent, nearestText } from '@groupcast/shared';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createOriginGate } from '../src/connections/origin-gate.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';
import { createNotices } from '../src/monitor/notices.ts';

const KNOWN =
  'join-group leave-group resume get-presence watch-group update-cursors mark-delivered mark-read refresh-token'.split(
    ' ',
  );

test.each([
  ['join_group', 'join-group'],
  ['joinGroup', 'join-group'],
  ['Join Group', 'join-group'],
  ['join', 'join-group'],
  ['join-room', 'join-group'],
  ['joinConversation', 'join-group'],
  ['subscribe', 'join-group'],
  ['jion-group', 'join-group'],
  ['unsubscribe-channel', 'leave-group'],
  ['leave', 'leave-group'],
  ['markAsRead', 'mark-read'],
  ['mark_delivered', 'mark-delivered'],
  ['getPresense', 'get-presence'],
  ['refreshToken', 'refresh-token'],
  ['authenticate', 'refresh-token'],
  ['Resume', 'resume'],
])('%s is nearest to %s', (name, expected) => {
  expect(nearestEvent(name, KNOWN)).toBe(expected);
});

test.each(['', '-', 'payment', 'new-message', 'constructor', '__proto__', '💬', 'x'.repeat(1_000)])(
  '%s is near to no event',
  (name) => {
    expect(nearestEvent(name, KNOWN)).toBeUndefined();
  },
);

test('an event of another kind of connection is found among its own', () => {
  const known = ['api-broadcast-message', 'api-broadcast-batch', 'api-notify-users'];
  expect(nearestEvent('api-broadcast', known)).toBe('api-broadcast-message');
  expect(nearestEvent('apiNotifyUser', known)).toBe('api-notify-users');
});

test.each([
  ['http://app.example.com', 'https://app.example.com'],
  ['https://www.app.example.com', 'https://app.example.com'],
  ['https://evil.test', undefined],
])('the origin %s is nearest to %s', (origin, expected) => {
  expect(nearestText(origin, ['https://app.example.com', 'https://other.example.org'])).toBe(expected);
});

test('a notice is said once a minute and name, and made-up names fill neither log nor monitor', () => {
  const lines: { msg: string; topic?: string; suppressed: number }[] = [];
  const shown: unknown[] = [];
  let now = 0;
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const notices = createNotices({ log, publish: (event) => void shown.push(event) }, () => now);
  const say = (name: string): void => notices({ topic: 'events', name, code: 'UNKNOWN_EVENT', message: name });
  for (let n = 0; n < 10; n += 1) say('a');
  say('b');
  expect(lines.map(({ msg }) => msg)).toEqual(['a', 'b']);
  for (let n = 0; n < 1_000; n += 1) say(`made up ${n}`);
  expect([lines.length, shown.length]).toEqual([21, 20]);
  expect(lines.at(-1)).toMatchObject({ topic: 'events', code: 'UNKNOWN_EVENT' });
  // Another topic has names of its own, and in the next minute all have.
  notices({ topic: 'origins', name: 'x', code: 'ORIGIN_FORBIDDEN', message: 'x' });
  now = 60_000;
  say('a');
  expect(lines.slice(-2).map(({ msg, suppressed }) => [msg, suppressed])).toEqual([
    ['x', 0],
    ['a', 9],
  ]);
});

test('a refused origin is compared with those that are allowed only where that is said', () => {
  const lines: string[] = [];
  let compared = 0;
  const origins = ['https://app.example.com'];
  origins[Symbol.iterator] = function* iterate() {
    compared += 1;
    for (let index = 0; index < this.length; index += 1) yield this[index] as string;
    return undefined;
  };
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const notices = createNotices({ log, publish: () => undefined }, () => 0);
  const gate = createOriginGate({ origins, metrics: createRelayMetrics(), notices });
  const answers: unknown[] = [];
  function ask(origin: string): void {
    gate({ headers: { origin }, socket: {} } as IncomingMessage, (error) => answers.push(error));
  }
  for (let n = 0; n < 10; n += 1) ask('http://app.example.com');
  for (let n = 0; n < 1_000; n += 1) ask(`https://made-up-${n}.test`);
  expect(answers).toHaveLength(1_010);
  expect(new Set(answers)).toEqual(new Set(['ORIGIN_FORBIDDEN']));
  expect(lines[0]).toContain('(which has https://app.example.com)');
  expect(lines).toHaveLength(21);
  expect(compared).toBe(20);
});
