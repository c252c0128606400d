'use strict';
// JSON web tokens, HS256 only, by Node's own crypto.
const { createHmac, timingSafeEqual } = require('node:crypto');

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

function signatureOf(text, secret) {
  return createHmac('sha256', secret).update(text).digest();
}

function signToken(claims, secret, ttlSeconds = 12 * 3600) {
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ iat: now(), exp: now() + ttlSeconds, ...claims })}`;
  return `${text}.${signatureOf(text, secret).toString('base64url')}`;
}

/** The claims of a token that is valid now, and `undefined` of any other. */
function verifyToken(token, secret) {
  const [header = '', body = '', signature = ''] = String(token).split('.');
  try {
    const given = Buffer.from(signature, 'base64url');
    const expected = signatureOf(`${header}.${body}`, secret);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    if (JSON.parse(Buffer.from(header, 'base64url').toString()).alg !== 'HS256') return undefined;
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString());
    return claims.exp > now() ? claims : undefined;
  } catch {
    return undefined;
  }
}

module.exports = { signToken, verifyToken };
