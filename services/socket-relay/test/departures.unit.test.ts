import { expect, test } from 'vitest';
import { createDepartures } from '../src/sessions/departures.ts';
import { admittedBy, type InGroup } from '../src/sessions/in-group.ts';

const place = admittedBy('token');
const gone = {
  code: undefined,
  reason: 'transport close',
  socketId: 's',
  groups: new Map([['g', place]]),
  provenUpTo: 3,
};

test.each([
  [undefined, 'ping timeout', 'offline'],
  ['TOKEN_EXPIRED', 'server namespace disconnect', 'token-expired'],
  ['SLOW_CONSUMER', 'forced close', 'slow-consumer'],
  ['SERVER_DRAINING', 'forced close', 'offline'],
  ['TOKEN_REVOKED', 'server namespace disconnect', 'refused'],
  ['ACCOUNT_LOCKED', 'server namespace disconnect', 'refused'],
])('a session that was ended with %s (%s) leaves its user %s', (code, reason, state) => {
  const departures = createDepartures();
  departures.left('u', { ...gone, code, reason });
  expect(departures.of('u')).toMatchObject({ state, socketId: 's', why: expect.stringMatching(/\w+ \w+/) });
  expect(departures.fromGroup('g')).toEqual(['u']);
});

test('a refusal after that is the last that is known, and the groups stay known', () => {
  const departures = createDepartures(() => 7);
  departures.left('u', gone);
  departures.refused('u', { code: 'TOO_MANY_CONNECTIONS', message: 'too many' });
  expect(departures.of('u')).toEqual({
    at: 7,
    state: 'refused',
    code: 'TOO_MANY_CONNECTIONS',
    why: 'its connection was refused: too many',
    groups: new Map([['g', place.since]]),
    provenUpTo: 3,
  });
});

test('of the many who have gone only the last are remembered, with the first of their groups', () => {
  const departures = createDepartures();
  for (let n = 0; n <= 10_000; n += 1)
    departures.left(`u${n}`, { ...gone, groups: n === 10_000 ? many() : new Map<string, InGroup>() });
  expect([departures.of('u0'), departures.of('u1')?.state]).toEqual([undefined, 'offline']);
  expect(departures.of('u10000')?.groups.size).toBe(50);

  function* many(): Generator<readonly [string, InGroup], never> {
    for (let n = 0; ; n += 1) yield [`g${n}`, place];
  }
});

test('refusals of unknown users are counted by code, and are old after ten minutes', () => {
  let now = 0;
  const departures = createDepartures(() => now);
  departures.refusedUnknown({ code: 'ORIGIN_FORBIDDEN', message: () => 'the origin "https://a" is not allowed' });
  departures.refusedUnknown({ code: 'ORIGIN_FORBIDDEN', message: 'the origin "https://b" is not allowed' });
  departures.refusedUnknown({ code: 'UNSUPPORTED_PROTOCOL', message: 'too old' });
  expect(departures.unknown()).toEqual([
    { code: 'UNSUPPORTED_PROTOCOL', message: 'too old', count: 1, at: 0 },
    { code: 'ORIGIN_FORBIDDEN', message: 'the origin "https://b" is not allowed', count: 2, at: 0 },
  ]);
  now = 600_000;
  expect(departures.unknown()).toEqual([]);
});

test('one who was kept out and is let in later is not kept out any more', () => {
  const departures = createDepartures();
  departures.keptOut('u', 'g', { code: 'API_UNAVAILABLE', message: 'the API does not answer' });
  expect(departures.keptOutOf('u', 'g')?.code).toBe('API_UNAVAILABLE');
  departures.letIn('u', 'g');
  expect(departures.keptOutOf('u', 'g')).toBeUndefined();
});
