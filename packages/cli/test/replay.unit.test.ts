import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DOCTOR_LIMITS, type DoctorEvent, type DoctorGroup, type DoctorReport } from '@groupcast/shared';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { UsageError } from '../src/command.ts';
import { replay } from '../src/commands/replay.ts';
import { replayReport } from '../src/replay/replay-report.ts';

const folder = mkdtempSync(join(tmpdir(), 'groupcast-replay-'));
afterAll(() => rmSync(folder, { recursive: true }));

const at = (seq: number, epoch = '1-a') => ({ epoch, seq });

function row(kind: DoctorEvent['kind'], seq: number, more: Partial<DoctorEvent> = {}): DoctorEvent {
  const event = kind === 'event' ? 'new-message' : 'group-head';
  return {
    at: '2026-01-01T00:00:00.000Z',
    direction: 'in',
    kind,
    event,
    groupId: '7',
    id: `m${seq}`,
    position: at(seq),
    ...more,
  };
}
const came = (...seqs: number[]): DoctorEvent[] => seqs.map((seq) => row('event', seq));

function report(
  events: DoctorEvent[],
  group: Partial<DoctorGroup> = {},
  more: Partial<DoctorReport> = {},
): DoctorReport {
  const last = Math.max(...events.map(({ position }) => position?.seq ?? 0), 40);
  return {
    version: 1,
    at: '2026-01-01T00:00:00.000Z',
    since: '2026-01-01T00:00:00.000Z',
    source: 'socket',
    page: { origin: 'https://app.test', online: true, visible: true },
    relay: { url: 'https://relay.test/socket.io/', transport: 'websocket', mayUpgrade: true },
    connection: {
      state: 'connected',
      forMs: 60_000,
      silentMs: 0,
      maxSilentMs: 45_000,
      greeted: true,
      late: false,
      live: true,
      reason: null,
      ending: null,
      changes: [],
    },
    token: { kind: 'jwt', sent: 1 },
    groups: [
      {
        groupId: '7',
        state: 'joined',
        from: at(40),
        head: at(last),
        seen: at(last),
        behind: 0,
        missing: [],
        events: events.length,
        duplicates: 0,
        ...group,
      },
    ],
    groupsLeftOut: 0,
    events,
    eventsLeftOut: 0,
    ...more,
  };
}

function save(name: string, content: unknown): string {
  const file = join(folder, name);
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

async function run(...args: string[]): Promise<{ code: number; stdout: string }> {
  let text = '';
  const stdout = { write: (more: string) => void (text += more) };
  const context = { env: {}, stdout, stderr: stdout, stopped: new AbortController().signal };
  return { code: await replay.run(args, context), stdout: text };
}

describe('groupcast replay', () => {
  test('says of each group what the inbox accepts, drops and holds, and how the page differs', async () => {
    const file = save('gap.json', report([...came(41, 42, 42, 45), row('head', 46)]));
    expect(await run(file)).toEqual({
      code: 1,
      stdout: [
        'https://app.test with a socket of its own, 2026-01-01T00:00:00.000Z: 5 events\n',
        'All well: connected, in 1 group, nothing missing.\n',
        'group 7: 2 accepted (41-42), 1 dropped as duplicates (42), 1 held for a gap (45), missing 43-44, 46\n',
        '  the page saw something else: it got 42 twice; it got 45, which the inbox would not have shown yet\n',
      ].join(''),
    });
  });

  test('--json has all of it for programs', async () => {
    const { code, stdout } = await run(save('well.json', report(came(41, 42), {}, { eventsLeftOut: 3 })), '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      ok: true,
      verdict: expect.objectContaining({ code: 'WELL' }),
      report: {
        at: '2026-01-01T00:00:00.000Z',
        origin: 'https://app.test',
        source: 'socket',
        events: 2,
        eventsLeftOut: 3,
      },
      groups: [
        { groupId: '7', accepted: [41, 42], duplicates: [], held: [], missing: [], lag: 'none', differences: [] },
      ],
    });
  });

  test.each<[string, DoctorEvent[], object]>([
    ['out of order', came(42, 41), { accepted: [41, 42], differences: ['it got 42 before 41'] }],
    [
      'a gap that a recovery closes',
      [...came(41, 44), ...[42, 43, 44].map((seq) => row('recovered', seq)), row('page', 44, { event: 'join-group' })],
      { accepted: [41, 42, 43, 44], held: [], lag: 'none', differences: ['it got 44 twice', 'it got 44 before 42'] },
    ],
    ['an event for others', [...came(41), row('skip', 42), ...came(43)], { accepted: [41, 43], differences: [] }],
    ['an event that is sent', [...came(41), { ...row('event', 42), direction: 'out' }], { accepted: [41] }],
    [
      'a membership that ends and begins again',
      [...came(41), { ...row('left', 1), position: undefined }, row('head', 45, { event: 'join-group' }), ...came(46)],
      { accepted: [41, 46], differences: [] },
    ],
    [
      'another epoch',
      [...came(41), row('event', 1, { position: at(1, '2-b') })],
      { accepted: [41], lag: 'epoch', held: [1] },
    ],
  ])('plays %s as the client takes it', (_, events, expected) => {
    expect(replayReport(report(events))).toEqual([expect.objectContaining(expected)]);
  });

  test('takes what the SDK has shown for what the page saw', () => {
    const shown = (seq: number, place?: number, kind: 'event' | 'api' = 'event') =>
      row(kind, seq, place === undefined ? {} : { shown: place });
    const events = [shown(41, 1), shown(44, 4), shown(42, 2, 'api'), shown(43, 3, 'api'), shown(45)];
    expect(replayReport(report(events, {}, { source: 'client' }))).toMatchObject([
      { accepted: [41, 42, 43, 44, 45], differences: ['it never got 45'] },
    ]);
  });

  test('accepts each number once, in order and without holes, whatever came', () => {
    const seqs = fc.array(fc.integer({ min: 41, max: 60 }), { maxLength: 60 });
    fc.assert(
      fc.property(seqs, (numbers) => {
        const [group] = replayReport(report(came(...numbers)));
        const { accepted = [], held = [], duplicates = [], differences = [] } = group ?? {};
        expect(accepted).toEqual(accepted.map((_seq, index) => 41 + index));
        expect(new Set([...accepted, ...held])).toEqual(new Set(numbers));
        if (differences.length === 0) expect([...accepted]).toEqual(numbers);
        expect(duplicates.length + accepted.length + held.length).toBeLessThanOrEqual(numbers.length);
      }),
    );
  });

  test.each<[string, () => string[], string]>([
    ['no file', () => [], 'replay needs one REPORT'],
    ['two files', () => ['a', 'b'], 'replay needs one REPORT'],
    ['a file that is not there', () => [join(folder, 'none.json')], 'none.json; ENOENT'],
    ['a folder', () => [folder], 'it is no file'],
    ['no JSON', () => [save('text.json', 'hello')], 'text.json is no JSON'],
    ['too many bytes', () => [save('large.json', `"${'x'.repeat(4_000_000)}"`)], 'it has more than 4000000 bytes'],
    [
      'another version',
      () => [save('two.json', { ...report([]), version: 2 })],
      'two.json is no report of version 1: version: ',
    ],
    [
      'too many events',
      () => [save('many.json', report(came(...Array.from({ length: DOCTOR_LIMITS.events + 1 }, () => 1))))],
      'events: must have at most 200 items',
    ],
    [
      'an id with a control character',
      () => [save('id.json', report([row('event', 41, { groupId: '7\u001b' })]))],
      'events.0.groupId: must be 1-128 characters',
    ],
    [
      'faults without end',
      () => [save('faults.json', report(came(...Array.from({ length: 50 }, () => -1))))],
      '; and 40 more',
    ],
    ['an option that there is not', () => ['--jsn'], "unknown option '--jsn'"],
  ])('%s is wrong usage', async (_, args, message) => {
    const error = await run(...args()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toContain(message);
  });
});
