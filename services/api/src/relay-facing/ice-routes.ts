import { createHmac } from 'node:crypto';
import type { HttpScope } from '@groupcast/service-kit';
import { iceServersAnswer } from '../http/answers.ts';
import { callerOf } from '../http/authenticate.ts';
import type { IceConfig } from '../ice-config.ts';

export interface IceServers {
  iceServers: { urls: string[]; username?: string; credential?: string }[];
  /** When the credentials end, in seconds since 1970. */
  expiresAt?: number;
}

/**
 * The servers for a user's calls. TURN servers take a name that begins with the time at which it ends, and a password made of the name and the
 * secret that they share with us ("TURN REST API"; coturn: `use-auth-secret`): nothing has to be stored, and nobody can lengthen it.
 */
export function iceServersFor({ stunUrls, turn }: IceConfig, userId: string, nowSeconds: number): IceServers {
  const stun = stunUrls.length > 0 ? [{ urls: [...stunUrls] }] : [];
  if (!turn) return { iceServers: stun };
  const expiresAt = nowSeconds + turn.ttlSeconds;
  const username = `${expiresAt}:${userId}`;
  const credential = createHmac('sha1', turn.secret).update(username).digest('base64');
  return { iceServers: [...stun, { urls: [...turn.urls], username, credential }], expiresAt };
}

export function iceRoutes(scope: HttpScope, ice: IceConfig): void {
  scope.get(
    '/api/realtime/ice-servers',
    {
      schema: {
        summary: 'Servers for calls, with credentials for a time',
        response: { 200: iceServersAnswer.describe('For `RTCPeerConnection`; empty where none is configured') },
      },
    },
    async (request, reply) => {
      // Nobody in between may keep credentials.
      reply.header('cache-control', 'no-store');
      return iceServersFor(ice, callerOf(request).userId, Math.floor(Date.now() / 1_000));
    },
  );
}
