import { describe, expect, test } from 'vitest';
import { isForwarded, isFromForeignPage, isHostTrusted } from '../src/host-names.ts';

describe('a Host header', () => {
  test.each([
    undefined,
    '',
    'localhost',
    'LocalHost:3000',
    'localhost.:3000',
    'groupcast.localhost:3000',
    '127.0.0.1:3000',
    '127.1.2.3',
    '[::1]:3000',
    '10.0.0.11:3002',
    '[fd00::2]:3002',
    'relay.internal.example.com:3002',
  ])('%s is of nobody’s page', (header) => {
    expect(isHostTrusted(header, ['relay.internal.example.com'])).toBe(true);
  });

  test.each([
    'evil.test',
    'evil.test:3000',
    'localhost.evil.test',
    '127.0.0.1.evil.test',
    'relay.internal.example.com.evil.test',
    'xrelay.internal.example.com',
    'evillocalhost',
    'evil.test@127.0.0.1',
    '127.0.0.1@evil.test',
    '127.0.0.1/evil.test',
    '127.0.0.1, evil.test',
    '[evil.test]',
    '[127.0.0.1]',
    '::1',
    '0x7f.0.0.1',
    '127.1',
    '2130706433',
    'localhost:123456',
    ' ',
  ])('%s may be a page’s', (header) => {
    expect(isHostTrusted(header, ['relay.internal.example.com'])).toBe(false);
  });
});

describe('a request', () => {
  test.each([
    'forwarded',
    'via',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-forwarded-something-new',
    'x-original-forwarded-for',
    'x-real-ip',
    'x-client-ip',
    'cf-connecting-ip',
    'true-client-ip',
    'client-ip',
    'wl-proxy-client-ip',
    'x-cluster-client-ip',
    'x-envoy-external-address',
    'x-envoy-something-new',
    'fly-client-ip',
    'fastly-client-ip',
    'x-azure-clientip',
    'x-azure-ref',
    'x-appengine-user-ip',
    'x-remote-ip',
    'x-remote-addr',
    'x-nf-client-connection-ip',
    'do-connecting-ip',
    'x-original-host',
    'x-original-url',
    'cf-ray',
    'cdn-loop',
    'x-something-new-client-ip',
  ])('with %s has come through a proxy', (name) => {
    expect(isForwarded({ [name]: '' })).toBe(true);
  });

  test('of a program of this machine has not', () => {
    const names = ['host', 'user-agent', 'accept', 'authorization', 'connection', 'x-request-id', 'traceparent'];
    expect(isForwarded(Object.fromEntries(names.map((name) => [name, ''])))).toBe(false);
    expect(isForwarded({ 'x-prometheus-scrape-timeout-seconds': '10', 'x-client-version': '1' })).toBe(false);
  });

  test.each([
    { origin: 'https://evil.test' },
    { origin: 'null' },
    { origin: 'http://localhost:5173' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
    { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' },
    { 'sec-fetch-site': 'something-new' },
  ])('with %o is of a page of another origin', (headers) => {
    expect(isFromForeignPage('GET', { host: 'localhost:3000', ...headers })).toBe(true);
  });

  test.each([
    {},
    { origin: 'http://localhost:3000', 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' },
    { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
  ])('with %o is not: a program’s, this origin’s own, or a link that was followed', (headers) => {
    expect(isFromForeignPage('GET', { host: 'localhost:3000', ...headers })).toBe(false);
  });

  test('of a form on a page of another origin is not a link', () => {
    const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    expect(isFromForeignPage('POST', { host: 'localhost:3000', ...headers })).toBe(true);
  });
});
