import { createBroadcaster, GroupcastError } from '@groupcast/broadcaster';
import { signConnectionToken } from '@groupcast/tokens';
import { CommandFailure, type Variables } from '../command.ts';
import { fixFor } from '../refusals.ts';
import type { Settings } from '../settings.ts';
import { signConfiguredUserToken } from '../user-tokens.ts';
import { messageId, type Route } from './route.ts';

/**
 * Broadcasts as a back end would, without the Groupcast API: the relay assigns the positions, and receivers get in by
 * the `groups` of their tokens. With a JWKS user tokens cannot be signed here: receivers then use connection tokens.
 */
export function openRelayRoute(options: {
  url: string;
  run: string;
  groupId: string | undefined;
  timeoutMs: number;
  /** How long the tokens must last. */
  ttlSeconds: number;
  settings: Settings;
  env: Variables;
}): Route {
  const { url, run, timeoutMs, ttlSeconds, env } = options;
  const { tokens, relaySecrets } = options.settings;
  const groupId = options.groupId ?? `test-${run}`;
  let broadcaster: ReturnType<typeof createBroadcaster> | undefined;

  async function receiverToken(userId: string): Promise<string> {
    const groups = [groupId];
    if (!tokens.jwksUrl) return (await signConfiguredUserToken(tokens, { userId, ttlSeconds, groups })).token;
    const issuedAt = Math.floor(Date.now() / 1_000);
    const user = { kind: 'user' as const, userId, issuedAt, expiresAt: issuedAt + ttlSeconds, groups, profile: {} };
    return (await signConnectionToken({ secret: tokens.connectionSecret, user, groups, issuedAt })).token;
  }

  function refusal(error: GroupcastError): CommandFailure {
    const fix = fixFor(error.code, 'service', env);
    return new CommandFailure(
      `the relay at ${url} refused the broadcaster: ${error.code}: ${error.message}${fix ? `. ${fix}` : ''}`,
    );
  }

  return {
    run,
    groupId,
    receiverSecret: tokens.jwksUrl ? 'connection' : 'user',
    admit: async (index) => ({ token: await receiverToken(`test-broadcast:receiver-${index}`), relayUrl: url }),
    async ready() {
      await new Promise<void>((resolve, reject) => {
        const settle = (failure?: CommandFailure): void => {
          clearTimeout(timer);
          if (failure) reject(failure);
          else resolve();
        };
        const late = `unable to connect the broadcaster to the relay at ${url} within ${timeoutMs} ms`;
        const timer = setTimeout(() => settle(new CommandFailure(late)), timeoutMs);
        broadcaster = createBroadcaster({
          url,
          serviceSecret: relaySecrets.secret,
          name: 'test-broadcast',
          timeoutMs,
          onStateChange(state) {
            if (state.name === 'connected') settle();
            if (state.name === 'refused') settle(refusal(state.error));
            if (state.name === 'closed') settle(new CommandFailure('unable to go on; the broadcaster was closed'));
          },
        });
      });
    },
    async send(index) {
      if (!broadcaster)
        throw new GroupcastError('RELAY_UNAVAILABLE', 'unable to send; the broadcaster is not connected');
      const id = messageId(run, index);
      const message = { id, clientMessageId: id, senderId: 'test-broadcast', content: `test message ${index}` };
      await broadcaster.broadcastMessage({ groupId, message });
    },
    async close() {
      await broadcaster?.close();
      return undefined;
    },
  };
}
