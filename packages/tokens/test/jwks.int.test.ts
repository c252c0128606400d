import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { AUDIENCE } from '@groupcast/shared';
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  createUserTokenVerifier,
  type GroupProblem,
  signConnectionToken,
  type UserTokenVerifier,
} from '../src/index.ts';
import { CONNECTION_SECRET, claims, nowSeconds, OTHER_SECRET, outcome, sign, signText } from './forge.ts';

const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const;
const UNAVAILABLE = { code: 'API_UNAVAILABLE', retryable: true };

interface SigningKey {
  alg: string;
  kid: string;
  private: CryptoKey;
  public: CryptoKey;
  jwk: JWK;
}

function* endless(): Generator<string> {
  yield '{"keys":[';
  for (;;) yield ' '.repeat(65_536);
}

const many = (count: number): JWK[] => Array.from({ length: count }, (_, index) => ({ kty: 'RSA', kid: `${index}` }));

async function makeKey(alg: string, kid: string): Promise<SigningKey> {
  const pair = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(pair.publicKey)), kid, use: 'sig' };
  return { alg, kid, private: pair.privateKey, public: pair.publicKey, jwk };
}

/** The answer of the identity provider at its JWKS URL, and how often it was asked. */
const provider = { status: 200, body: '', requests: 0 };
let server: Server;
let url = '';
let keys: Record<string, SigningKey>;

function keyOf(alg: string): SigningKey {
  const key = keys[alg];
  if (!key) throw new Error(`no key for ${alg}`);
  return key;
}

async function signed(alg: string, changes: object = {}, header: object = {}): Promise<string> {
  const key = keyOf(alg);
  return sign(claims({ ...changes }), key.private, { alg, kid: key.kid, ...header });
}

function publish(...published: SigningKey[]): void {
  Object.assign(provider, {
    status: 200,
    body: JSON.stringify({ keys: published.map(({ jwk }) => jwk) }),
    requests: 0,
  });
}

function makeVerifier(options: { groupsClaim?: string; userClaim?: string; issuer?: string } = {}): UserTokenVerifier {
  return createUserTokenVerifier({ jwksUrl: url, connectionSecret: CONNECTION_SECRET, ...options });
}

beforeAll(async () => {
  const made = await Promise.all(
    [...ALGORITHMS, 'unpublished'].map((name) => makeKey(name === 'unpublished' ? 'RS256' : name, name)),
  );
  keys = Object.fromEntries(made.map((key) => [key.kid, key]));
  server = createServer((_request, response) => {
    provider.requests += 1;
    response.writeHead(provider.status, { 'content-type': 'application/json' }).end(provider.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/.well-known/jwks.json`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
afterEach(() => {
  vi.useRealTimers();
});

describe('user tokens of an identity provider with a JWKS', () => {
  test.each(ALGORITHMS)('are accepted with %s', async (alg) => {
    publish(...ALGORITHMS.map(keyOf));
    const token = await signed(alg, { sub: `${alg}|x`, name: 'Alice' });
    const expected = { kind: 'user', userId: `${alg}|x`, profile: { name: 'Alice' } };
    expect(await makeVerifier().verify(token)).toMatchObject(expected);
  });

  test('name the user by the claim that is configured, and need no sub then', async () => {
    publish(keyOf('ES256'));
    const token = await signed('ES256', { sub: undefined, user: { id: 7 } });
    expect((await makeVerifier({ userClaim: 'user.id' }).verify(token)).userId).toBe('7');
    expect(await outcome(makeVerifier().verify(token))).toBe('TOKEN_INVALID');
  });

  test('need no iat, and count as issued at 0 then', async () => {
    publish(keyOf('ES256'));
    const token = await signed('ES256', { iat: undefined });
    expect(await makeVerifier().verify(token)).toMatchObject({ issuedAt: 0 });
  });

  test('need no kid where one key fits', async () => {
    publish(keyOf('ES256'), keyOf('EdDSA'));
    const token = await sign(claims(), keyOf('ES256').private, { alg: 'ES256' });
    expect(await outcome(makeVerifier().verify(token))).toBe('accepted');
  });

  test('cost one request for the keys, however many come together', async () => {
    publish(keyOf('ES256'));
    const verifier = makeVerifier();
    const tokens = await Promise.all(Array.from({ length: 20 }, async () => signed('ES256')));
    await Promise.all(tokens.map(async (token) => verifier.verify(token)));
    await verifier.verify(await signed('ES256'));
    expect(provider.requests).toBe(1);
  });

  test('that have expired are TOKEN_EXPIRED if that is all', async () => {
    publish(keyOf('RS256'));
    const times = { iat: nowSeconds() - 120, exp: nowSeconds() - 60 };
    const verifier = makeVerifier({ issuer: 'https://id.example.com' });
    const expired = await signed('RS256', { iss: 'https://id.example.com', ...times });
    expect(await outcome(verifier.verify(expired))).toBe('TOKEN_EXPIRED');
    expect(await outcome(verifier.verify(await signed('RS256', { iss: 'other', ...times })))).toBe('TOKEN_INVALID');
    const forged = await sign(claims({ iss: 'https://id.example.com', ...times }), keyOf('unpublished').private, {
      alg: 'RS256',
      kid: 'RS256',
    });
    expect(await outcome(verifier.verify(forged))).toBe('TOKEN_INVALID');
  });
});

describe('a token that the JWKS does not vouch for is TOKEN_INVALID:', () => {
  test('signed by another key under a published kid', async () => {
    publish(keyOf('RS256'));
    const token = await sign(claims(), keyOf('unpublished').private, { alg: 'RS256', kid: 'RS256' });
    expect(await outcome(makeVerifier().verify(token))).toBe('TOKEN_INVALID');
  });

  test('that is none, before the keys are asked for', async () => {
    publish(keyOf('RS256'));
    const [header = '', payload = '', signature = ''] = (await signed('RS256')).split('.');
    for (const none of [`${header}..${signature}`, `${header}.${payload}=.${signature}`, `${header}.${payload}`]) {
      expect(await outcome(makeVerifier().verify(none))).toBe('TOKEN_INVALID');
    }
    expect(provider.requests).toBe(0);
  });

  test('with a kid that is not published', async () => {
    publish(keyOf('RS256'));
    expect(await outcome(makeVerifier().verify(await signed('unpublished', {}, { alg: 'RS256' })))).toBe(
      'TOKEN_INVALID',
    );
    expect(await outcome(makeVerifier().verify(await signed('RS256', {}, { kid: '../RS256' })))).toBe('TOKEN_INVALID');
  });

  test('signed HS256 with a published key taken for a secret', async () => {
    for (const alg of ALGORITHMS) {
      const key = keyOf(alg);
      publish(key);
      const pem = await exportSPKI(key.public);
      const secrets: (string | Uint8Array)[] = [
        pem,
        pem.trim(),
        Buffer.from(pem.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64'),
        JSON.stringify(key.jwk),
        ...[key.jwk.n, key.jwk.x].flatMap((part) => (part === undefined ? [] : [part, Buffer.from(part, 'base64url')])),
        '',
      ];
      for (const secret of secrets) {
        const token = signText(JSON.stringify({ alg: 'HS256', kid: key.kid }), JSON.stringify(claims()), secret);
        expect(await outcome(makeVerifier().verify(token))).toBe('TOKEN_INVALID');
      }
    }
  });

  test('signed with the right key by an algorithm that is not ours', async () => {
    publish({ ...keyOf('RS256') });
    for (const alg of ['RS384', 'RS512', 'PS256']) {
      const hash = alg.slice(2) === '384' ? 'SHA-384' : alg.slice(2) === '512' ? 'SHA-512' : 'SHA-256';
      const name = alg.startsWith('PS') ? 'RSA-PSS' : 'RSASSA-PKCS1-v1_5';
      const pkcs8 = await crypto.subtle.exportKey('pkcs8', keyOf('RS256').private);
      const key = await crypto.subtle.importKey('pkcs8', pkcs8, { name, hash }, false, ['sign']);
      const token = await sign(claims(), key, { alg, kid: 'RS256' });
      expect(await outcome(makeVerifier().verify(token))).toBe('TOKEN_INVALID');
    }
  });

  test('signed HS256 with JWT_SECRET: a JWKS takes its place', async () => {
    publish(keyOf('RS256'));
    const verifier = createUserTokenVerifier({ jwksUrl: url, secret: OTHER_SECRET, previousSecret: OTHER_SECRET });
    expect(await outcome(verifier.verify(await sign(claims(), OTHER_SECRET)))).toBe('TOKEN_INVALID');
  });

  test('made for our own audiences by the identity provider', async () => {
    publish(keyOf('RS256'));
    for (const aud of Object.values(AUDIENCE)) {
      expect(await outcome(makeVerifier().verify(await signed('RS256', { aud })))).toBe('TOKEN_INVALID');
    }
  });
});

describe('a key that nobody should trust, or can, makes its tokens TOKEN_INVALID, and the operator is told:', () => {
  const pairOf = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });
  const weak = pairOf(1_024);
  const strong = pairOf(2_048);
  const jwkOf = (key: KeyObject): JWK => ({ ...key.export({ format: 'jwk' }), kid: 'it', alg: 'RS256', use: 'sig' });
  const ec = { kty: 'EC', crv: 'P-256', kid: 'it', alg: 'ES256', use: 'sig' };
  const ones = Buffer.alloc(32, 1).toString('base64url');

  test.each<[string, string, JWK]>([
    ['of 1,024 bits', 'RS256', jwkOf(weak.publicKey)],
    ['that is private, and published', 'RS256', jwkOf(strong.privateKey)],
    ['without a modulus', 'RS256', { kty: 'RSA', e: 'AQAB', kid: 'it', alg: 'RS256', use: 'sig' }],
    ['whose point lies on no curve', 'ES256', { ...ec, x: ones, y: ones }],
    ['whose point has no number in it', 'ES256', { ...ec, x: '', y: '' }],
  ])('%s', async (_, alg, jwk) => {
    Object.assign(provider, { status: 200, body: JSON.stringify({ keys: [jwk] }) });
    const problems: Error[] = [];
    const verifier = createUserTokenVerifier({ jwksUrl: url, onKeyProblem: (problem) => problems.push(problem) });
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const input = `${part({ alg, kid: 'it' })}.${part(claims())}`;
    const signature = createSign('sha256').update(input).sign(weak.privateKey).toString('base64url');
    expect(await outcome(verifier.verify(`${input}.${signature}`))).toBe('TOKEN_INVALID');
    expect(problems.map(({ name }) => name)).toEqual(['KeyUnusable']);
  });

  test('but not of tokens that are wrong by themselves', async () => {
    publish(keyOf('RS256'));
    const problems: Error[] = [];
    const verifier = createUserTokenVerifier({ jwksUrl: url, onKeyProblem: (problem) => problems.push(problem) });
    for (const header of [{ kid: 'unknown' }, { alg: 'HS256' }, { crit: ['x'], x: 1 }, { alg: 'none' }]) {
      const token = signText(JSON.stringify({ alg: 'RS256', kid: 'RS256', ...header }), JSON.stringify(claims()), 'x');
      expect(await outcome(verifier.verify(token))).toBe('TOKEN_INVALID');
    }
    expect(problems).toEqual([]);
  });
});

describe('groups of an identity provider', () => {
  test('are its directory, and count for nothing', async () => {
    publish(keyOf('RS256'));
    const token = await signed('RS256', { groups: ['admins'], roles: ['x'] });
    expect((await makeVerifier().verify(token)).groups).toEqual([]);
    const directory = await signed('RS256', { groups: ['All Staff', { id: 1 }] });
    expect((await makeVerifier().verify(directory)).groups).toEqual([]);
  });

  test('are those of the claim that JWT_GROUPS_CLAIM names', async () => {
    publish(keyOf('RS256'));
    const verifier = makeVerifier({ groupsClaim: 'https://example.com/groupcast' });
    const token = await signed('RS256', { groups: ['admins'], 'https://example.com/groupcast': ['1', 2] });
    expect((await verifier.verify(token)).groups).toEqual(['1', '2']);
    const malformed = await signed('RS256', { 'https://example.com/groupcast': ['All Staff', '1'] });
    expect((await verifier.verify(malformed)).groups).toEqual(['1']);
  });

  test('that no claim was named for are said, and those of a claim that was are not', async () => {
    publish(keyOf('RS256'));
    const problems: GroupProblem[] = [];
    const options = { jwksUrl: url, onGroupProblem: (problem: GroupProblem) => problems.push(problem) };
    await createUserTokenVerifier(options).verify(await signed('RS256', { groups: ['admins', 'x'] }));
    await createUserTokenVerifier(options).verify(await signed('RS256', { groups: [] }));
    await createUserTokenVerifier({ ...options, groupsClaim: 'mine' }).verify(
      await signed('RS256', { groups: ['admins'], mine: ['1'] }),
    );
    expect(problems).toEqual([{ kind: 'unclaimed', userId: 'alice', group: '"admins"', count: 2 }]);
  });

  test('of a connection token are ours, and count', async () => {
    publish(keyOf('RS256'));
    const issuedAt = nowSeconds();
    const user = await makeVerifier().verify(await signed('RS256'));
    const { token } = await signConnectionToken({ secret: CONNECTION_SECRET, user, groups: ['1'], issuedAt });
    const requests = provider.requests;
    expect(await makeVerifier().verify(token)).toMatchObject({ kind: 'connection', groups: ['1'] });
    expect(provider.requests).toBe(requests);
  });
});

describe('while the keys cannot be read', () => {
  test('because nobody listens, a token is not called wrong: API_UNAVAILABLE, and worth another try', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const verifier = createUserTokenVerifier({ jwksUrl: `http://127.0.0.1:${port}/` });
    await expect(verifier.verify(await signed('RS256'))).rejects.toMatchObject(UNAVAILABLE);
  });

  test.each([
    ['an error', 500, 'oops'],
    ['nothing', 404, ''],
    ['no JSON', 200, '<html>'],
    ['JSON that is no JWKS', 200, '{}'],
    ['a list', 200, '[]'],
    ['keys that are no keys', 200, '{"keys":["a"]}'],
  ])('because %s comes back: API_UNAVAILABLE too', async (_, status, body) => {
    Object.assign(provider, { status, body });
    await expect(makeVerifier().verify(await signed('RS256'))).rejects.toMatchObject(UNAVAILABLE);
  });

  test('because no answer comes within 3 s: API_UNAVAILABLE too', async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    try {
      const verifier = createUserTokenVerifier({ jwksUrl: `http://127.0.0.1:${port}/` });
      await expect(verifier.verify(await signed('RS256'))).rejects.toMatchObject(UNAVAILABLE);
    } finally {
      silent.closeAllConnections();
      await new Promise((resolve) => silent.close(resolve));
    }
  });

  test('tokens ask again a second later, not each of them, and are accepted once they are back', async () => {
    publish(keyOf('RS256'));
    Object.assign(provider, { status: 503 });
    const verifier = makeVerifier();
    vi.useFakeTimers({ toFake: ['performance'] });
    for (let i = 0; i < 20; i += 1) {
      await expect(verifier.verify(await signed('RS256'))).rejects.toMatchObject({
        ...UNAVAILABLE,
        retryAfterMs: 1_000,
      });
    }
    expect(provider.requests).toBe(1);
    provider.status = 200;
    vi.advanceTimersByTime(1_000);
    expect(await outcome(verifier.verify(await signed('RS256')))).toBe('accepted');
    expect(provider.requests).toBe(2);
  });

  test('tokens with made-up kids do not make it be asked again and again either', async () => {
    publish(keyOf('RS256'));
    const verifier = makeVerifier();
    expect(await outcome(verifier.verify(await signed('RS256')))).toBe('accepted');
    Object.assign(provider, { status: 503, requests: 0 });
    vi.useFakeTimers({ toFake: ['performance', 'Date'], now: Date.now() + 31_000 });
    for (let i = 0; i < 20; i += 1) {
      await expect(verifier.verify(await signed('RS256', {}, { kid: `made-up-${i}` }))).rejects.toMatchObject(
        UNAVAILABLE,
      );
    }
    expect(provider.requests).toBe(1);
    expect(await outcome(verifier.verify(await signed('RS256')))).toBe('accepted');
  });

  test.each([
    ['an answer without an end', (response: ServerResponse) => void Readable.from(endless()).pipe(response)],
    [
      'a small one that unpacks to an endless one',
      (response: ServerResponse) => {
        response.setHeader('content-encoding', 'gzip');
        Readable.from(endless()).pipe(createGzip()).pipe(response);
      },
    ],
    ['more keys than anybody has', (response: ServerResponse) => response.end(JSON.stringify({ keys: many(101) }))],
    ['a redirect', (response: ServerResponse) => response.writeHead(302, { location: url }).end()],
  ])('because of %s: API_UNAVAILABLE too, and the reading stops at the limit', async (_, answer) => {
    const hostile = createServer((_request, response) => {
      // A reader that stops reading ends it.
      response.on('error', () => undefined);
      answer(response);
    });
    await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve));
    const problems: Error[] = [];
    publish(keyOf('RS256'));
    try {
      const verifier = createUserTokenVerifier({
        jwksUrl: `http://127.0.0.1:${(hostile.address() as AddressInfo).port}/`,
        onKeyProblem: (problem) => problems.push(problem),
      });
      await expect(verifier.verify(await signed('RS256'))).rejects.toMatchObject(UNAVAILABLE);
      expect(problems.map(({ message }) => message)).toEqual([
        expect.stringMatching(/larger than 524288 bytes|more than 100 keys|status 302/),
      ]);
      expect(provider.requests).toBe(0);
    } finally {
      hostile.closeAllConnections();
      await new Promise((resolve) => hostile.close(resolve));
    }
  });

  test('a connection token is still accepted: it needs none of them', async () => {
    Object.assign(provider, { status: 503, body: '' });
    const token = await sign(claims({ aud: AUDIENCE.connection }), CONNECTION_SECRET);
    expect(await outcome(makeVerifier().verify(token))).toBe('accepted');
  });
});

describe('while the keys cannot be read again', () => {
  const HOUR_MS = 3_600_000;
  let problems: Error[];
  beforeEach(() => {
    problems = [];
    vi.useFakeTimers({ toFake: ['Date', 'performance'] });
  });

  /** It has read its keys, and then the provider is away for this time. */
  async function afterOutage(ms: number, options: { maxStaleKeysSeconds?: number } = {}): Promise<UserTokenVerifier> {
    publish(keyOf('RS256'));
    const onKeyProblem = (problem: Error): void => void problems.push(problem);
    const verifier = createUserTokenVerifier({ jwksUrl: url, onKeyProblem, ...options });
    await verifier.verify(await signed('RS256'));
    Object.assign(provider, { status: 503, requests: 0 });
    vi.advanceTimersByTime(ms);
    return verifier;
  }

  test.each([11, 60, 23 * 60])('the last ones are used, and it is said: for %i minutes (G52)', async (minutes) => {
    const verifier = await afterOutage(minutes * 60_000);
    expect(await outcome(verifier.verify(await signed('RS256')))).toBe('accepted');
    expect(problems.map(({ name, message }) => [name, message])).toEqual([
      ['KeySetStale', `the keys were read ${minutes} minutes ago, and not again since`],
    ]);
    expect(verifier.staleKeysSeconds()).toBe(minutes * 60);
    // And they are no help to who has none of them.
    const forged = await sign(claims(), keyOf('unpublished').private, { alg: 'RS256', kid: 'RS256' });
    expect(await outcome(verifier.verify(forged))).toBe('TOKEN_INVALID');
  });

  test('not for longer than is allowed', async () => {
    const verifier = await afterOutage(25 * HOUR_MS);
    await expect(verifier.verify(await signed('RS256'))).rejects.toMatchObject(UNAVAILABLE);
    const shorter = await afterOutage(HOUR_MS, { maxStaleKeysSeconds: 1_800 });
    await expect(shorter.verify(await signed('RS256'))).rejects.toMatchObject(UNAVAILABLE);
    provider.status = 200;
    vi.advanceTimersByTime(1_000);
    expect(await outcome(shorter.verify(await signed('RS256')))).toBe('accepted');
    expect(shorter.staleKeysSeconds()).toBe(0);
  });

  test('nobody but the first waits for the provider, which is asked once a second', async () => {
    const verifier = await afterOutage(11 * 60_000);
    for (let n = 0; n < 20; n += 1) expect(await outcome(verifier.verify(await signed('RS256')))).toBe('accepted');
    expect(provider.requests).toBe(1);
    vi.advanceTimersByTime(1_000);
    await Promise.all(Array.from({ length: 20 }, async () => verifier.verify(await signed('RS256'))));
    await vi.waitFor(() => expect(provider.requests).toBe(2));
  });

  test('they are exchanged as soon as it is back, and a key that it has taken away is forgotten', async () => {
    const verifier = await afterOutage(11 * 60_000);
    await verifier.verify(await signed('RS256'));
    publish(keyOf('ES256'));
    vi.advanceTimersByTime(1_000);
    await verifier.verify(await signed('RS256'));
    await vi.waitFor(async () => expect(await outcome(verifier.verify(await signed('ES256')))).toBe('accepted'));
    vi.advanceTimersByTime(31_000);
    expect(await outcome(verifier.verify(await signed('RS256')))).toBe('TOKEN_INVALID');
    expect(verifier.staleKeysSeconds()).toBe(0);
  });

  test('an unknown kid is worth another try, since its key may be there (G52)', async () => {
    const verifier = await afterOutage(11 * 60_000);
    await expect(verifier.verify(await signed('ES256'))).rejects.toMatchObject(UNAVAILABLE);
  });
});

test('a token whose key is newer than the keys that were read is worth another try, until they are read again', async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
  publish(keyOf('RS256'));
  const verifier = makeVerifier();
  await verifier.verify(await signed('RS256'));
  vi.advanceTimersByTime(4_000);
  publish(keyOf('RS256'), keyOf('ES256'));
  const retryAfterMs = 26_000;
  await expect(verifier.verify(await signed('ES256'))).rejects.toMatchObject({ ...UNAVAILABLE, retryAfterMs });
  expect(provider.requests).toBe(0);
  vi.advanceTimersByTime(retryAfterMs);
  expect(await outcome(verifier.verify(await signed('ES256')))).toBe('accepted');
  // One that is not there either is wrong, as far as anybody can know.
  vi.advanceTimersByTime(31_000);
  const made = await signed('RS256', {}, { kid: 'made-up' });
  expect(await outcome(verifier.verify(made))).toBe('TOKEN_INVALID');
  expect(provider.requests).toBe(2);
});

test('a key that is gone is refused to every token that is older than the keys that were read, at once', async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
  publish(keyOf('RS256'), keyOf('ES256'));
  const verifier = makeVerifier();
  const old = await Promise.all(
    Array.from({ length: 5 }, async (_, n) => signed('ES256', { sub: `u${n}`, iat: nowSeconds() - 60 })),
  );
  expect(await outcome(verifier.verify(old[0]))).toBe('accepted');
  publish(keyOf('RS256'));
  vi.advanceTimersByTime(601_000);
  await verifier.verify(await signed('RS256'));
  const outcomes = async (): Promise<unknown[]> =>
    Promise.all(old.map(async (token) => outcome(verifier.verify(token))));
  expect(await outcomes()).toEqual(old.map(() => 'TOKEN_INVALID'));
  // The clock of this machine is no clock to measure that by.
  vi.setSystemTime(Date.now() - 3_600_000);
  vi.advanceTimersByTime(1_000);
  const made = await signed('RS256', { iat: nowSeconds() - 60 }, { kid: 'made-up' });
  expect(await outcome(verifier.verify(made))).toBe('TOKEN_INVALID');
  expect(provider.requests).toBe(1);
  // Nor does it matter that the provider is away: the keys of its time are here.
  provider.status = 503;
  vi.advanceTimersByTime(11 * 60_000);
  await verifier.verify(await signed('RS256'));
  expect(await outcome(verifier.verify(made))).toBe('TOKEN_INVALID');
});

test('a key that the identity provider adds later is found without a restart', async () => {
  publish(keyOf('RS256'));
  const verifier = makeVerifier();
  expect(await outcome(verifier.verify(await signed('RS256')))).toBe('accepted');
  publish(keyOf('RS256'), keyOf('ES256'));
  // Unknown kids make the JWKS be read again, but not more often than every 30 s.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 31_000 });
  expect(await outcome(verifier.verify(await signed('ES256')))).toBe('accepted');
  expect(provider.requests).toBe(1);
});

test('… also when the clock was set back an hour meanwhile, and a key that it takes away is forgotten', async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
  publish(keyOf('RS256'));
  const verifier = makeVerifier();
  expect(await outcome(verifier.verify(await signed('RS256')))).toBe('accepted');
  vi.setSystemTime(Date.now() - 3_600_000);
  vi.advanceTimersByTime(31_000);
  publish(keyOf('RS256'), keyOf('ES256'));
  expect(await outcome(verifier.verify(await signed('ES256')))).toBe('accepted');
  publish(keyOf('ES256'));
  vi.advanceTimersByTime(601_000);
  expect(await outcome(verifier.verify(await signed('RS256')))).toBe('TOKEN_INVALID');
});
