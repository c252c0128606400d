import type { RelayTrace } from '@groupcast/shared';
import { describe, expect, it } from 'vitest';
import type { Paint } from '../src/terminal.ts';
import { formatTrace, hasIt } from '../src/trace/format.ts';

describe('a trace', () => {
  const trace: RelayTrace = {
    groupId: 'g1',
    id: 'm1',
    position: { epoch: '1-a', seq: 7 },
    hops: [
      { hop: 'relay-accepted', ok: true, detail: 'the log took it', node: 'n1' },
      { hop: 'written', ok: true, ms: 1.26, detail: 'to 2 connections' },
      { hop: 'client-received', ok: false, detail: 'one has it\u001b[2J' },
    ],
    verdict: { state: 'partly', hop: 'client-received', code: 'SLOW_CONSUMER', cause: 'bob is slow.', fix: 'Wait.' },
    nodes: [],
    unreachable: ['n2'],
    refusals: [],
    summary: { proven: 1, 'slow-consumer': 1 },
    recipients: [
      { userId: 'alice', state: 'proven', why: 'proof' },
      { userId: 'bob', state: 'slow-consumer', why: 'He does not read.' },
    ],
  };

  const paint: Paint = (_style, text) => text;

  it('is its hops, those who do not have it, nodes without an answer, cause and fix', () => {
    const missing = trace.recipients.filter((recipient) => !hasIt(recipient));
    expect(formatTrace('event m1', trace, missing, paint)).toEqual([
      'event m1',
      '',
      '  ✓  relay-accepted            the log took it  (n1)',
      '  ✓  written          +1.3 ms  to 2 connections',
      '  ✗  client-received           one has it\uFFFD[2J',
      '',
      'no answer from n2',
      '',
      '  bob  slow-consumer  He does not read.',
      '',
      'partly at client-received SLOW_CONSUMER   proven 1, slow-consumer 1',
      'cause  bob is slow.',
      'fix    Wait.',
    ]);
  });

  it('lists a limited number of recipients', () => {
    const recipients = Array.from({ length: 25 }, (_, n) => ({ userId: `u${n}`, state: 'offline' as const, why: 'w' }));
    const lines = formatTrace('event m1', { ...trace, recipients }, recipients, paint);
    expect(lines.filter((line) => line.includes('offline'))).toHaveLength(20);
    expect(lines).toContain('  and 5 more');
  });
});
