import { TEST_SECRETS } from '@groupcast/testing';
import { describe, expect, test } from 'vitest';
import { readApiConfig } from '../src/config.ts';
import type { IceConfig } from '../src/ice-config.ts';
import { iceServersFor } from '../src/relay-facing/ice-routes.ts';

const SECRET = 'a secret that the TURN server has';
const iceOf = (env: Record<string, string>): IceConfig => readApiConfig({ ...TEST_SECRETS, ...env }).ice;

describe('servers for calls', () => {
  test('are none where none is configured', () => {
    expect(iceServersFor(iceOf({}), 'alice', 0)).toEqual({ iceServers: [] });
  });

  test('are those of the configuration, with credentials that end', () => {
    const ice = iceOf({
      ICE_STUN_URLS: 'stun:stun.example.com, stuns:[2001:db8::1]:5349',
      ICE_TURN_URLS: 'turn:turn.example.com:3478?transport=udp,turns:10.0.0.1?transport=tcp',
      ICE_TURN_SECRET: SECRET,
      ICE_TURN_TTL_SECONDS: '600',
    });
    expect(iceServersFor(ice, 'al:ice@example.com', 1_800_000_000)).toEqual({
      iceServers: [
        { urls: ['stun:stun.example.com', 'stuns:[2001:db8::1]:5349'] },
        {
          urls: ['turn:turn.example.com:3478?transport=udp', 'turns:10.0.0.1?transport=tcp'],
          username: '1800000600:al:ice@example.com',
          // printf 1800000600:al:ice@example.com | openssl dgst -sha1 -hmac "$SECRET" -binary | base64
          credential: 'EaYKiGrtKBCIPotex24UHjPbEv0=',
        },
      ],
      expiresAt: 1_800_000_600,
    });
  });

  test.each([
    ['stun:', 'ICE_STUN_URLS'],
    ['stun://stun.example.com', 'ICE_STUN_URLS'],
    ['turn:turn.example.com', 'ICE_STUN_URLS'],
    ['stun:stun.example.com:0', 'ICE_STUN_URLS'],
    ['stun:stun.example.com:70000', 'ICE_STUN_URLS'],
    ['stun:a, https://stun.example.com', 'ICE_STUN_URLS'],
    [Array.from({ length: 9 }, (_, n) => `stun:s${n}`).join(), 'ICE_STUN_URLS'],
    ['stun:stun.example.com', 'ICE_TURN_URLS'],
    ['turn:user:pass-word@turn.example.com', 'ICE_TURN_URLS'],
    ['turn:turn.example.com?transport=quic', 'ICE_TURN_URLS'],
  ])('%s is refused at the start as %s, without showing it', (value, name) => {
    const read = () => iceOf({ ICE_TURN_SECRET: SECRET, ICE_TURN_URLS: 'turn:a', [name]: value });
    expect(read).toThrow(new RegExp(`^invalid configuration: ${name} must list`));
    expect(read).not.toThrow(/pass-word/);
  });

  test('with TURN need its secret, and the secret needs a server', () => {
    expect(() => iceOf({ ICE_TURN_URLS: 'turn:a' })).toThrow('ICE_TURN_SECRET must be set with ICE_TURN_URLS');
    expect(() => iceOf({ ICE_TURN_SECRET: SECRET })).toThrow('ICE_TURN_URLS must be set with ICE_TURN_SECRET');
    const short = { NODE_ENV: 'production', ICE_TURN_URLS: 'turn:a', ICE_TURN_SECRET: 'short' };
    expect(() => iceOf(short)).toThrow('ICE_TURN_SECRET must be at least 32 bytes');
  });
});
