import { AUDIENCE, SERVICE_SCOPES } from '@groupcast/shared';
import { createServiceTokenVerifier, signServiceToken } from '@groupcast/tokens';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { createServiceTokenSigner } from '../src/service-token.ts';

const secrets = fc.string({ minLength: 1, maxLength: 100, unit: 'binary' });
const names = fc.stringMatching(/^[\x21-\x7e]{1,255}$/);
const scopes = fc.subarray([...SERVICE_SCOPES]);

test('a service token has the claims that @groupcast/tokens signs, and the relay’s verification takes it', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  try {
    await fc.assert(
      fc.asyncProperty(secrets, names, scopes, async (secret, subject, wanted) => {
        const token = await createServiceTokenSigner(secret, subject)(wanted);
        const claimsOf = (jwt: string): unknown =>
          JSON.parse(String(Buffer.from(jwt.split('.')[1] ?? '', 'base64url')));
        expect(claimsOf(token)).toEqual(claimsOf(await signServiceToken({ secret, subject, scopes: wanted })));
        const verifier = createServiceTokenVerifier({ secret, audience: AUDIENCE.relay });
        expect(await verifier.verify(token)).toMatchObject({ kind: 'service', subject, scopes: new Set(wanted) });
        const other = createServiceTokenVerifier({ secret: `${secret}x`, audience: AUDIENCE.relay });
        await expect(other.verify(token)).rejects.toMatchObject({ code: 'SERVICE_TOKEN_INVALID' });
      }),
      { numRuns: 100 },
    );
  } finally {
    vi.useRealTimers();
  }
});
