import { DOCTOR_LIMITS, doctorReportSchema } from '@groupcast/shared';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createConnectionLog } from '../src/doctor/connection-log.ts';
import { type Frame, parseFrame } from '../src/doctor/frames.ts';
import * as limits from '../src/doctor/limits.ts';
import { createRecorder } from '../src/doctor/recorder.ts';
import { createTokenLife } from '../src/doctor/token-life.ts';

const EPOCH = '1-a';
const at = (seq: number) => ({ epoch: EPOCH, seq });

function start() {
  const token = createTokenLife(
    () => 0,
    (ms) => new Date(ms).toISOString(),
  );
  const log = createConnectionLog(
    () => 0,
    () => '2026-01-01T00:00:00.000Z',
  );
  const recorder = createRecorder({ log, token, at: () => '2026-01-01T00:00:00.000Z' });
  const packet = (direction: 'in' | 'out', text: string): void => {
    const frame = parseFrame(text);
    if (frame) recorder.frame(direction, frame);
  };
  return {
    comes: (name: string, payload: unknown) => packet('in', `2${JSON.stringify([name, payload])}`),
    sends: (name: string, payload: unknown, ack: number | '' = '') =>
      packet('out', `2${ack}${JSON.stringify([name, payload])}`),
    answers: (ack: number, value: unknown) => packet('in', `3${ack}${JSON.stringify([value])}`),
    packet,
    recorder,
    report: () => ({ connection: log.describe(), token: token.describe(), ...recorder.describe(undefined) }),
    group: (groupId = '7') => recorder.describe(undefined).groups.find((group) => group.groupId === groupId),
  };
}
const message = (seq: number, groupId = '7') => ({ id: `m${seq}`, groupId, ...at(seq), senderId: 'bob', content: 'x' });

describe('packets', () => {
  test.each<[string, Partial<Frame> | undefined]>([
    ['2["a",{"b":1}]', { type: 2, namespace: '/', ack: undefined, data: ['a', { b: 1 }] }],
    ['213["a"]', { type: 2, ack: 13, data: ['a'] }],
    ['2/chat?x=1,7["ü"]', { type: 2, namespace: '/chat', ack: 7, data: ['ü'], bytes: 18 }],
    ['51-/n,3["a",{"_placeholder":true,"num":0}]', { type: 5, namespace: '/n', ack: 3 }],
    ['0{"sid":"x"}', { type: 0, data: { sid: 'x' } }],
    ['1', { type: 1, data: undefined }],
    ['2["a"', undefined],
    ['', undefined],
    ['9[]', undefined],
  ])('%s is read as a page reads it', (text, frame) => {
    if (frame) expect(parseFrame(text)).toMatchObject(frame);
    else expect(parseFrame(text)).toBeUndefined();
  });

  test('of another parser, or binary, are none', () => {
    expect(parseFrame(new ArrayBuffer(3))).toBeUndefined();
  });
});

describe('a group', () => {
  test('begins where it was joined, and follows its events', () => {
    const page = start();
    page.comes('joined-groups', { groups: [{ groupId: 7, position: at(40) }] });
    expect(page.group()).toMatchObject({ state: 'joined', from: at(40), head: at(40), seen: at(40), behind: 0 });
    page.comes('new-message', message(41));
    expect(page.group()).toMatchObject({ head: at(41), seen: at(41), behind: 0, events: 1 });
  });

  test('is behind its head, and by the holes before the last event, until they come', () => {
    const page = start();
    page.comes('joined-groups', { groups: [{ groupId: '7', position: at(40) }] });
    page.comes('new-message', message(44));
    page.comes('group-head', { groupId: '7', ...at(45) });
    expect(page.group()).toMatchObject({ head: at(45), seen: at(40), missing: [[41, 43]], behind: 4 });
    page.comes('new-message', message(42));
    expect(page.group()).toMatchObject({
      seen: at(40),
      missing: [
        [41, 41],
        [43, 43],
      ],
      behind: 3,
      duplicates: 0,
    });
    page.comes('new-message', message(42));
    expect(page.group()).toMatchObject({ behind: 3, duplicates: 1 });
    page.recorder.reach('7', at(44));
    expect(page.group()).toMatchObject({ seen: at(44), missing: [], behind: 1 });
    page.comes('group-head', { groupId: '7', ...at(45), skipId: 'm45' });
    expect(page.group()).toMatchObject({ seen: at(45), behind: 0, events: 3 });
  });

  test('has what an answer brings, and is refused where it brings an error', () => {
    const page = start();
    page.sends('join-group', { groupId: '7', position: at(40) }, 1);
    page.answers(1, { ok: true, groupId: '7', position: at(42), recovered: true, events: [message(41)], more: false });
    expect(page.group()).toMatchObject({ state: 'joined', head: at(42), seen: at(42), behind: 0, events: 1 });
    page.sends('join-group', { groupId: '8' }, 2);
    page.answers(2, { ok: false, error: { code: 'NOT_A_MEMBER', message: 'no' } });
    expect(page.group('8')).toMatchObject({ state: 'refused', code: 'NOT_A_MEMBER' });
    page.sends('resume', { positions: {} }, 3);
    page.answers(3, { ok: true, groups: { 7: { recovered: false, position: at(50), events: [] } } });
    expect(page.group()).toMatchObject({ head: at(50), seen: at(42), behind: 8 });
    page.sends('leave-group', { groupId: '7' }, 4);
    page.answers(4, { ok: true, groupId: '7' });
    expect(page.group()).toMatchObject({ state: 'left' });
  });

  test('that is started over is so, and is not behind by numbers', () => {
    const page = start();
    page.comes('joined-groups', { groups: [{ groupId: '7', position: at(40) }] });
    page.comes('group-head', { groupId: '7', epoch: '2-b', seq: 3 });
    expect(page.group()).toMatchObject({ behind: null });
    page.comes('new-message', { ...message(4), epoch: '2-b' });
    expect(page.group()).toMatchObject({ behind: 0, seen: { epoch: '2-b', seq: 4 } });
  });

  test('that was joined before a reconnect is unknown until it is named again', () => {
    const page = start();
    page.packet('in', '0{"sid":"x"}');
    page.comes('joined-groups', { groups: [{ groupId: '7', position: at(40) }] });
    page.packet('in', '1');
    page.packet('in', '0{"sid":"y"}');
    page.comes('joined-groups', { groups: [{ groupId: '8', position: null }], undecided: ['9'] });
    expect([page.group()?.state, page.group('8')?.state, page.group('9')?.state]).toEqual([
      'unknown',
      'joined',
      'undecided',
    ]);
    page.comes('left-groups', { groups: ['8'], reason: 'member-removed' });
    expect(page.group('8')).toMatchObject({ state: 'left', code: 'member-removed' });
  });
});

describe('a report', () => {
  test('is bounded, whatever comes, and can be read', () => {
    const named = Object.entries(DOCTOR_LIMITS).map(([name, value]) => {
      const constant = name.replace(/[A-Z]/, (letter) => `_${letter}`).toUpperCase();
      return [constant.includes('_') ? constant : `MAX_${constant}`, value];
    });
    expect({ ...limits }).toEqual(Object.fromEntries(named));
    const page = start();
    for (let n = 0; n < 700; n += 1) {
      page.comes('new-message', message(2 * n + 1, `g${n}`));
      page.comes('new-message', message(2 * n + 1, 'holes'));
      page.sends('x'.repeat(1_000), {}, n);
      page.packet(
        'in',
        '44{"message":"m","data":{"code":"C"}}'.slice(1).replace('"m"', JSON.stringify('m'.repeat(999))),
      );
    }
    const { groups, groupsLeftOut, events, eventsLeftOut, connection } = page.report();
    expect(groups).toHaveLength(500);
    expect(groupsLeftOut).toBe(201);
    expect(events).toHaveLength(200);
    expect(eventsLeftOut).toBe(1_900);
    expect(connection.changes).toHaveLength(50);
    const { shape } = doctorReportSchema;
    expect(shape.groups.safeParse(groups).error).toBeUndefined();
    expect(shape.events.safeParse(events).error).toBeUndefined();
    expect(shape.connection.safeParse(connection).error).toBeUndefined();
  });

  test('has one row for typing in a row, and all of its bytes', () => {
    const page = start();
    for (let n = 0; n < 3; n += 1) page.comes('typing', { groupId: '7', userId: 'bob', isTyping: true });
    expect(page.report().events).toMatchObject([{ event: 'typing', groupId: '7', times: 3, bytes: 3 * 58 }]);
  });

  test('has no string of a payload but group, id, epoch and the name of the event (G88)', () => {
    const secret = fc.integer({ min: 0, max: 1e9 }).map((n) => `§ ${n} a secret`);
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        secret,
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        tie('list'),
        tie('object'),
      ),
      list: fc.array(tie('any'), { maxLength: 4 }),
      object: fc.dictionary(fc.oneof(secret, fc.constantFrom(...FIELDS)), tie('any'), { maxKeys: 8 }),
    }));
    const names = [...CONTROL, 'new-message', 'constructor', '__proto__', 'toString', 'an own one'];
    const objects = value['object'] as fc.Arbitrary<object>;
    const event = fc
      .tuple(objects, fc.integer({ min: 1, max: 50 }))
      .map(([more, seq]) => ({ ...more, event: 'new-message', id: `m${seq}`, groupId: '7', ...at(seq) }));
    const answer = fc
      .tuple(objects, fc.array(event, { maxLength: 3 }))
      .map(([more, events]) => ({ ...more, ok: true, error: undefined, position: at(50), recovered: true, events }));
    const answers = fc.tuple(objects, answer).map(([more, one]) => ({ ...more, groupId: '7', groups: { 7: one } }));
    const payload = fc.oneof(objects, event, answer, answers);
    const step = fc.record({
      direction: fc.constantFrom('in' as const, 'out' as const),
      name: fc.constantFrom(...names),
      payload,
      ack: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }),
      type: fc.constantFrom(2, 2, 2, 3, 0, 4),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const page = start();
        for (const { direction, name, payload: fields, ack = '', type } of steps) {
          // The text of a refusal is the relay's own, and is kept.
          const data = type === 2 ? [name, fields] : type === 3 ? [fields] : type === 4 ? { data: fields } : fields;
          page.packet(direction, `${type}${ack}${JSON.stringify(data)}`);
        }
        expect(JSON.stringify(page.report())).not.toContain('§');
      }),
      { numRuns: 400 },
    );
  });

  test('has the life of a token, and neither the token nor its user (G88)', () => {
    const page = start();
    const claims = Buffer.from(JSON.stringify({ sub: 'alice', iat: 100, exp: 160 })).toString('base64url');
    page.packet('out', `0${JSON.stringify({ token: `e30.${claims}.signature`, userId: 'alice' })}`);
    expect(page.report().token).toEqual({
      kind: 'jwt',
      issuedAt: '1970-01-01T00:01:40.000Z',
      expiresAt: '1970-01-01T00:02:40.000Z',
      leftMs: 160_000,
      sent: 1,
    });
    page.sends('refresh-token', { token: 'opaque-token' });
    page.sends('refresh-token', { token: 'opaque-token' });
    expect(page.report().token).toMatchObject({ kind: 'opaque', sent: 2, expiresAt: undefined });
    expect(JSON.stringify(page.report())).not.toMatch(/alice|signature|opaque-token|e30/);
  });
});

const CONTROL = [
  'joined-groups',
  'resumed',
  'left-groups',
  'group-head',
  'service-state',
  'session-ending',
  'refresh-token',
  'join-group',
  'resume',
  'leave-group',
];
const FIELDS = [
  'id',
  'groupId',
  'groups',
  'events',
  'error',
  'code',
  'reason',
  'next',
  'epoch',
  'position',
  'skipId',
  'token',
  'recovered',
  'undecided',
  'message',
  'senderId',
  'content',
];
