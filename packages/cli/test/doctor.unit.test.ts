import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { CAUSES, FAULT_CODES, type FaultCode, failed, faultOf, HOP_NAMES, HOPS, ok } from '../src/doctor/hops.ts';
import { RedisRefusal, readReply } from '../src/doctor/redis-asker.ts';
import { formatWalk, jsonReport } from '../src/doctor/report.ts';

const reference = readFileSync(fileURLToPath(new URL('../../../docs/reference/commands.md', import.meta.url)), 'utf8');

/** The rows of the tables in the reference whose first cell is code, and second cell a number or text. */
function rowsOf(heading: string): string[][] {
  const section = reference.split(`### ${heading}\n`)[1]?.split(/\n##/)[0] ?? '';
  return [...section.matchAll(/^\| `([^`.]+)` \| (.+?) \|/gm)].map(([, name = '', rest = '']) => [name, rest]);
}

const bad = (code: FaultCode, blames?: (typeof HOP_NAMES)[number]) =>
  failed(code, `cause of ${code}`, 'fix', blames ? { blames } : {});

describe('the reference', () => {
  test('has the exit code of every hop, and of no other', () => {
    expect(rowsOf('Exit codes of doctor')).toEqual(Object.entries(HOPS).map(([hop, code]) => [hop, String(code)]));
  });

  test('has every code of a fault with its meaning, and no other', () => {
    expect(rowsOf('Faults')).toEqual(Object.entries(FAULT_CODES));
  });
});

describe('the hops', () => {
  test('have an exit code of their own each, and a place in the order of causes', () => {
    expect(new Set(Object.values(HOPS)).size).toBe(HOP_NAMES.length);
    expect(CAUSES.toSorted()).toEqual(HOP_NAMES.toSorted());
    expect(Object.values(HOPS).filter((code) => [0, 1, 2, 130].includes(code))).toEqual([]);
  });
});

describe('the fault', () => {
  test('is the first one in the order of causes, not the first one that was found', () => {
    const findings = [
      { hop: 'api', ms: 1, outcome: ok('') },
      { hop: 'relay', ms: 1, outcome: bad('RELAY_UNREADY') },
      { hop: 'redis', ms: 1, outcome: bad('REDIS_READ_ONLY') },
    ] as const;
    expect(faultOf(findings)).toMatchObject({ hop: 'redis', code: 'REDIS_READ_ONLY' });
    expect(faultOf([{ hop: 'api', ms: 1, outcome: ok('') }])).toBeUndefined();
  });

  test('is at the hop that another one blames, unless that one knows better', () => {
    const relay = { hop: 'relay', ms: 1, outcome: bad('REDIS_UNREACHABLE', 'redis') } as const;
    expect(faultOf([relay])).toMatchObject({ hop: 'redis', code: 'REDIS_UNREACHABLE' });
    const redis = { hop: 'redis', ms: 1, outcome: bad('REDIS_READ_ONLY') } as const;
    expect(faultOf([relay, redis])).toMatchObject({ hop: 'redis', code: 'REDIS_READ_ONLY' });
  });

  test('is the secret that differs, and not that the side which refuses it cannot be reached', () => {
    const cutOff = { hop: 'relay', ms: 1, outcome: bad('RELAY_CUT_OFF') } as const;
    const differs = failed('SECRET_MISMATCH', 'cause', 'fix', { explains: 'RELAY_CUT_OFF' });
    expect(faultOf([cutOff, { hop: 'secrets', ms: 1, outcome: differs }])).toMatchObject({ hop: 'secrets' });
    // Another secret, or that of the command's own environment, explains nothing.
    const another = { hop: 'secrets', ms: 1, outcome: bad('SECRET_MISMATCH') } as const;
    expect(faultOf([cutOff, another])).toMatchObject({ hop: 'relay', code: 'RELAY_CUT_OFF' });
    expect(faultOf([cutOff])).toMatchObject({ hop: 'relay', code: 'RELAY_CUT_OFF' });
  });

  test('is a risk only where nothing else has failed', () => {
    const evicts = { hop: 'redis', ms: 1, outcome: bad('REDIS_EVICTS') } as const;
    const down = { hop: 'relay', ms: 1, outcome: bad('RELAY_UNREACHABLE') } as const;
    expect(faultOf([evicts])).toMatchObject({ code: 'REDIS_EVICTS' });
    expect(faultOf([evicts, down])).toMatchObject({ code: 'RELAY_UNREACHABLE' });
  });
});

test('a hop that was skipped is told as skipped, and not as well', () => {
  const report = jsonReport({
    findings: [
      { hop: 'api', ms: 3, outcome: ok('fine') },
      { hop: 'redis', ms: 0, outcome: { state: 'skipped', detail: 'no REDIS_URL here' } },
    ],
    fault: undefined,
  });
  expect(report).toEqual({
    ok: true,
    hops: [{ hop: 'api', ok: true, ms: 3, detail: 'fine' }],
    skipped: [{ hop: 'redis', why: 'no REDIS_URL here' }],
  });
});

test('all is well for what was looked at', () => {
  const findings = [{ hop: 'api', ms: 3, outcome: ok('fine') }] as const;
  const told = (relays: number, nodes: number) =>
    formatWalk({ findings, fault: undefined, relays, nodes }, (_style, text) => text);
  expect(told(1, 0)).toMatch(/\n\nall is well, for what was looked at: 1 relay\n$/);
  expect(told(2, 1)).toMatch(/\n\nall is well, for what was looked at: 2 relays, 1 internal port\n$/);
});

test.each([
  ['+OK\r\n', 'OK'],
  [':12\r\n', 12],
  ['$-1\r\n', null],
  ['$5\r\nh\r\nlo\r\n', 'h\r\nlo'],
  ['*2\r\n$1\r\na\r\n*1\r\n:1\r\n', ['a', [1]]],
])('an answer of Redis is read: %j', (text, reply) => {
  const bytes = Buffer.from(`${text}rest`);
  expect(readReply(bytes)).toEqual({ reply, end: text.length });
  for (let end = 0; end < text.length; end += 1) expect(readReply(bytes.subarray(0, end))).toBeUndefined();
});

test('a refusal of Redis is read as one, and what is no Redis is found out', () => {
  expect(readReply(Buffer.from('-READONLY it is a replica\r\n'))?.reply).toBeInstanceOf(RedisRefusal);
  expect(() => readReply(Buffer.from('HTTP/1.1 400 Bad Request\r\n'))).toThrow(/is this Redis/);
});
