import { readFileSync } from 'node:fs';
import type { DoctorGroup, DoctorReport } from '@groupcast/shared';
import { expect, test } from 'vitest';
import { diagnose } from '../src/doctor/diagnose.ts';

const EPOCH = '1-a';
const group = (changes: Partial<DoctorGroup> = {}): DoctorGroup => ({
  groupId: '7',
  state: 'joined',
  from: { epoch: EPOCH, seq: 40 },
  head: { epoch: EPOCH, seq: 45 },
  seen: { epoch: EPOCH, seq: 45 },
  behind: 0,
  missing: [],
  events: 5,
  duplicates: 0,
  ...changes,
});

type Changes = {
  [K in keyof DoctorReport]?: DoctorReport[K] extends object ? Partial<DoctorReport[K]> : DoctorReport[K];
};

function report(changes: Changes = {}): DoctorReport {
  const well: DoctorReport = {
    version: 1,
    at: '2026-01-01T00:00:00.000Z',
    since: '2026-01-01T00:00:00.000Z',
    source: 'socket',
    page: { origin: 'https://app.test', online: true, visible: true },
    relay: { url: 'https://relay.test/socket.io/', transport: 'websocket', mayUpgrade: true },
    connection: {
      state: 'connected',
      forMs: 60_000,
      silentMs: 1_000,
      maxSilentMs: 45_000,
      greeted: true,
      late: false,
      live: true,
      reason: null,
      ending: null,
      changes: [],
    },
    token: { kind: 'jwt', sent: 1, leftMs: 600_000 },
    groups: [group()],
    groupsLeftOut: 0,
    events: [],
    eventsLeftOut: 0,
  };
  const merged: Record<string, unknown> = { ...well };
  for (const [key, value] of Object.entries(changes)) {
    const isPlain = typeof value === 'object' && !Array.isArray(value);
    merged[key] = isPlain ? { ...(well[key as keyof DoctorReport] as object), ...value } : value;
  }
  return merged as DoctorReport;
}

const down = (code: string, message = '') => ({ state: 'disconnected' as const, reason: { code, message } });

test.each<[code: string, cause: string, changes: Changes]>([
  ['WELL', 'All well: connected, in 1 group, nothing missing.', {}],
  ['OFFLINE', 'The browser has no network.', { page: { online: false }, connection: down('UNREACHABLE') }],
  [
    'TOKEN_EXPIRED',
    'Token expired 3 min ago: the page does not send a new one.',
    { connection: down('TOKEN_EXPIRED'), token: { leftMs: -190_000 } },
  ],
  [
    'TOKEN_EXPIRED',
    'Token expired 3 min ago: the page does not send a new one.',
    { connection: down('CLOSED_BY_RELAY'), token: { leftMs: -190_000 } },
  ],
  [
    'TOKEN_EXPIRED',
    'Token expired: and so did those before; 2 were sent.',
    { connection: down('TOKEN_EXPIRED'), token: { sent: 2 } },
  ],
  ['TOKEN_MISSING', 'The relay refused: TOKEN_MISSING (no token).', { connection: down('TOKEN_MISSING', 'no token') }],
  ['TOKEN_INVALID', 'The relay refused: TOKEN_INVALID.', { connection: down('TOKEN_INVALID') }],
  [
    'TOKEN_REVOKED',
    'The relay refused: TOKEN_REVOKED (io server disconnect).',
    {
      connection: {
        ...down('CLOSED_BY_RELAY', 'io server disconnect'),
        ending: { code: 'TOKEN_REVOKED', next: 'stop' },
      },
    },
  ],
  ['WRONG_NAMESPACE', 'There is no such namespace.', { connection: down('REFUSED', 'Invalid namespace') }],
  [
    'MIXED_CONTENT',
    'A page on https may not connect to http.',
    { connection: down('UNREACHABLE'), relay: { url: 'http://relay.test/socket.io/' } },
  ],
  [
    'ORIGIN_REFUSED',
    'Origin refused: the relay answers, but not to https://app.test.',
    { connection: down('UNREACHABLE', 'xhr poll error'), probe: { reachable: true, readable: false } },
  ],
  [
    'ORIGIN_REFUSED',
    'Origin refused: the relay answers, but not to https://app.test.',
    {
      connection: down('UNREACHABLE'),
      token: { leftMs: -1_000 },
      probe: { reachable: true, readable: false },
    },
  ],
  [
    'RELAY_UNREACHABLE',
    'Nothing answers at https://relay.test/socket.io/.',
    { connection: down('UNREACHABLE'), probe: { reachable: false, readable: false } },
  ],
  ['NOT_STARTED', 'Not connected yet.', { connection: { state: 'idle' } }],
  ['CLOSED_BY_PAGE', 'The page closed the connection.', { connection: down('CLOSED_BY_PAGE') }],
  [
    'CLOSED_BY_RELAY',
    'The relay closed the connection; a stock client stays away.',
    { connection: down('CLOSED_BY_RELAY') },
  ],
  [
    'CONNECTING',
    'Not connected for 1 min: CONNECTION_LOST (ping timeout).',
    { connection: down('CONNECTION_LOST', 'ping timeout') },
  ],
  ['SILENT', 'Nothing came for 1 min, no heartbeat either.', { connection: { silentMs: 61_000 } }],
  [
    'RELAY_CUT_OFF',
    'This relay cannot reach the others, and delivers nothing.',
    { connection: { live: false }, groups: [group({ behind: 3 })] },
  ],
  [
    'TOKEN_ENDING',
    'The relay asked for a new token: the page does not send one.',
    { connection: { ending: { code: 'TOKEN_EXPIRED', next: 'refresh-token' } } },
  ],
  ['CLOCK_SKEW', 'Connected with a token that expired 2 h ago by this clock.', { token: { leftMs: -7_300_000 } }],
  ['NOT_JOINED', 'Connected, but not joined to any group.', { groups: [] }],
  [
    'UNDECIDED',
    'The relay cannot ask its API about group 7.',
    { groups: [group({ state: 'undecided' }), group({ groupId: '8', state: 'refused', code: 'NOT_A_MEMBER' })] },
  ],
  [
    'JOIN_REFUSED',
    'Group 7 was refused: NOT_A_MEMBER.',
    { groups: [group({ state: 'refused', code: 'NOT_A_MEMBER' })] },
  ],
  [
    'JOIN_REFUSED',
    'Group 8 was refused: NOT_A_MEMBER.',
    { groups: [group(), group({ groupId: '8', state: 'refused', code: 'NOT_A_MEMBER' })] },
  ],
  [
    'LEFT_GROUPS',
    'Connected, but no longer in group 7 (member-removed).',
    { groups: [group({ state: 'left', code: 'member-removed' })] },
  ],
  [
    'ATTACHED_LATE',
    'Connected before the doctor came: groups are not known.',
    { connection: { greeted: false, late: true }, groups: [] },
  ],
  ['GREETING', 'Connected; groups are not known yet.', { connection: { greeted: false, forMs: 100 }, groups: [] }],
  ['NO_GREETING', 'Connected, but joined-groups did not come.', { connection: { greeted: false }, groups: [] }],
  [
    'BEHIND',
    'Group 7 is 3 messages behind: head 45, last seen 42; 1 more too.',
    { groups: [group({ groupId: '8', behind: 1 }), group({ behind: 3, seen: { epoch: EPOCH, seq: 42 } }), group()] },
  ],
  [
    'BEHIND',
    'Group 7 is 1 message behind: head 45, last seen 44.',
    { source: 'client', groups: [group({ behind: 1, seen: { epoch: EPOCH, seq: 44 } })] },
  ],
  ['NEW_EPOCH', 'Group 7 was started over.', { groups: [group({ behind: null })] }],
  [
    'NOT_REJOINED',
    'Group 8 was joined before, and is not now.',
    { groups: [group(), group({ groupId: '8', state: 'unknown' })] },
  ],
  [
    'NOT_REJOINED',
    'Group 8 was joined before, and is not now.',
    { groups: [group({ groupId: '8', state: 'unknown' })] },
  ],
  ['TOKEN_EXPIRES', 'The token expires in 20 s.', { token: { leftMs: 20_900 } }],
  ['NO_UPGRADE', 'By polling only: no WebSocket came through.', { relay: { transport: 'polling' } }],
  ['WELL', 'All well: connected, in 1 group, nothing missing.', { relay: { transport: 'polling', mayUpgrade: false } }],
  [
    'TOKEN_UNAVAILABLE',
    'Not connected for 1 min: TOKEN_UNAVAILABLE (getToken threw).',
    {
      source: 'client',
      connection: { state: 'disconnected' },
      client: { state: 'waiting', code: 'TOKEN_UNAVAILABLE', message: 'getToken threw' },
    },
  ],
])('the verdict is %s: %s', (code, cause, changes) => {
  const verdict = diagnose(report(changes));
  const generic = code === 'TOKEN_UNAVAILABLE' ? 'CONNECTING' : code;
  expect(verdict).toMatchObject({ code: generic, cause, ok: code === 'WELL' || code === 'GREETING' });
  const needsNone = ['WELL', 'GREETING', 'OFFLINE'].includes(code);
  expect(verdict.fix === '').toBe(needsNone);
});

test('the verdicts are those of the reference', () => {
  const source = readFileSync(new URL('../src/doctor/diagnose.ts', import.meta.url), 'utf8');
  const page = readFileSync(new URL('../../../docs/doctor-report.md', import.meta.url), 'utf8');
  const codes = Array.from(source.matchAll(/fault\(\s*'([A-Z_]+)'/g), ([, code]) => code);
  const listed = page
    .split('\n')
    .flatMap((line) => (line.startsWith('| `') ? [...line.matchAll(/`([A-Z_]{4,})`/g)] : []));
  expect(new Set(listed.map(([, code]) => code))).toEqual(new Set([...codes, 'CLOSED_BY_RELAY']));
});
