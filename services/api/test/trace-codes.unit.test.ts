import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ConnectionState } from '@groupcast/broadcaster';
import { GroupcastError } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import { causeOf, fixOf, isDispatched, type OwnOutbox, stopInOutbox } from '../src/tracing/outbox-hop.ts';
import { TRACE_CODES } from '../src/tracing/trace-codes.ts';
import type { TracedMessage } from '../src/tracing/trace-store.ts';

const REFERENCE = fileURLToPath(new URL('../../../docs/reference/commands.md', import.meta.url));

test('the reference lists each code of a verdict with its hop, and no other code', () => {
  const text = readFileSync(REFERENCE, 'utf8');
  const section = text.slice(text.indexOf('### Codes of a verdict'));
  const rows = [...section.matchAll(/^\| `([A-Z_]+)` \| `([a-z-]+)` \|/gm)].map(([, code, hop]) => [code, hop]);
  const codes = Object.entries(TRACE_CODES).map(([code, { hop }]) => [code, hop]);
  expect(rows.toSorted()).toEqual(codes.toSorted());
});

describe('a message that is still in the outbox', () => {
  const message: TracedMessage = {
    groupId: 'g',
    seq: 5,
    epoch: '1-a',
    senderId: 'alice',
    createdAt: new Date(0),
    omittedCode: undefined,
    dispatchedSeq: 4,
    lease: undefined,
    failure: undefined,
    readsOnly: false,
  };
  const until = new Date('2026-03-01T10:00:00Z');
  const outbox = (relay: ConnectionState, sentSeq?: number): OwnOutbox => ({
    owner: 'me',
    sentSeq: () => sentSeq,
    relayState: () => relay,
  });
  const connected: ConnectionState = { name: 'connected' };
  const refused: ConnectionState = {
    name: 'refused',
    error: new GroupcastError('SERVICE_TOKEN_INVALID', 'no', { details: { fault: 'iat' } }),
  };
  const failure = { attempts: 3, code: 'BROKER_UNAVAILABLE', retryAt: until };
  const elsewhere = { lease: { owner: 'another', until } };

  test.each<[string, Partial<TracedMessage>, ConnectionState, string, RegExp]>([
    ['nobody has claimed it', {}, connected, 'NOT_CLAIMED', /no process has claimed/],
    [
      'this process is sending it',
      { lease: { owner: 'me', until } },
      connected,
      'NOT_CLAIMED',
      /this process is sending/,
    ],
    ['an attempt failed', { failure }, connected, 'ATTEMPT_FAILED', /BROKER_UNAVAILABLE, 3 times so far, .*10:00/],
    ['the relay refuses this process', { failure }, refused, 'RELAY_REFUSED', /SERVICE_TOKEN_INVALID/],
    ['the relay is away', { failure }, { name: 'disconnected' }, 'RELAY_UNREACHABLE', /is disconnected/],
    [
      'another process holds it',
      { ...elsewhere, failure },
      refused,
      'LEASED_ELSEWHERE',
      /another holds it until .*10:00/,
    ],
    ['the database reads only', { ...elsewhere, readsOnly: true }, refused, 'DATABASE_READ_ONLY', /takes no writes/],
  ])('%s', (_what, facts, relay, code, cause) => {
    const stop = stopInOutbox({ ...message, ...facts }, outbox(relay));
    expect(stop.code).toBe(code);
    expect(causeOf(stop, true)).toMatch(cause);
    // Users are told neither names nor addresses.
    expect(causeOf(stop, false)).toBe(TRACE_CODES[stop.code].cause);
  });

  test('a refusal because of the clocks has its own fix', () => {
    expect(fixOf(stopInOutbox(message, outbox(refused)), true)).toBe('compare the clocks of the two machines');
  });

  test('has left it by the database’s cursor, or by that of this process, which is ahead of it', () => {
    expect(isDispatched(message, outbox(connected))).toBe(false);
    expect(isDispatched(message, outbox(connected, 5))).toBe(true);
    expect(isDispatched({ ...message, dispatchedSeq: 5 }, outbox(connected, 2))).toBe(true);
  });
});
