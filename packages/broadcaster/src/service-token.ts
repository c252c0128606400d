import { AUDIENCE, MAX_SHORT_TOKEN_SECONDS, type ServiceScope } from '@groupcast/shared/publisher';

/** Life of a token, in seconds: long enough for clocks that differ, short enough to be worth little when it is found in a log. */
const TOKEN_SECONDS = Math.min(300, MAX_SHORT_TOKEN_SECONDS);
const encoder = new TextEncoder();

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');
}

const part = (value: object): string => base64url(encoder.encode(JSON.stringify(value)));

/** Signs one service token for the relay. */
export type ServiceTokenSigner = (scopes: readonly ServiceScope[]) => Promise<string>;

/**
 * Signs with Web Crypto, which Node, browsers and edge runtimes have, so that the package needs no library for tokens.
 * `service-token.unit.test.ts` holds the tokens to the relay's own verification.
 */
export function createServiceTokenSigner(secret: string, subject: string): ServiceTokenSigner {
  const header = part({ alg: 'HS256', typ: 'JWT' });
  let imported: ReturnType<typeof importKey> | undefined;
  async function importKey() {
    return crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  }
  return async (scopes) => {
    imported ??= importKey();
    const iat = Math.floor(Date.now() / 1000);
    const claims = { sub: subject, aud: AUDIENCE.relay, scope: scopes.join(' '), iat, exp: iat + TOKEN_SECONDS };
    const input = `${header}.${part(claims)}`;
    const signature = await crypto.subtle.sign('HMAC', await imported, encoder.encode(input));
    return `${input}.${base64url(new Uint8Array(signature))}`;
  };
}
