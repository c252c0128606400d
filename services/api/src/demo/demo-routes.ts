import {
  type HttpScope,
  hostOfHeader,
  isHostOfOrigins,
  isHostTrusted,
  type Origins,
  type TokenConfig,
  warnOnceEvery,
} from '@groupcast/service-kit';
import { GroupcastError, parseUserId } from '@groupcast/shared';
import { signUserToken } from '@groupcast/tokens';
import type { GroupDeps } from '../groups/group-changes.ts';
import { createGroup, joinOpenGroup } from '../groups/group-service.ts';
import { findExisting } from '../groups/group-store.ts';
import { deleteMember } from '../groups/member-store.ts';
import { demoLoginAnswer } from '../http/answers.ts';
import { demoLoginBody } from '../http/schemas.ts';

const TOKEN_TTL_SECONDS = 12 * 3_600;
/** The group that every demo user is in. */
const LOBBY = { id: 'lobby', name: 'Lobby', founderId: 'demo:groupcast' };

/** Logs anybody in by a name, without a password: for trying things out. The configuration refuses it in production. */
export function demoRoutes(
  scope: HttpScope,
  deps: GroupDeps & { tokens: Pick<TokenConfig, 'secret' | 'issuer' | 'audience' | 'userClaim'>; origins: Origins },
): void {
  const { origins } = deps;
  const { secret = '', issuer, audience, userClaim } = deps.tokens;
  const refused = warnOnceEvery(60_000);
  // Nothing but the host name protects it: a page of another site may give a name of its own to this machine's address.
  scope.addHook('onRequest', async (request) => {
    const { host } = request.headers;
    if (origins === '*' || isHostTrusted(host) || isHostOfOrigins(origins, hostOfHeader(host ?? '') ?? '')) return;
    refused('host', (suppressed) => request.log.warn({ code: 'HOST_FORBIDDEN', host, suppressed }, 'login refused'));
    const why = `the host "${host}" is unknown here: add its origin to SOCKET_CORS_ORIGIN if it is yours`;
    throw new GroupcastError('HOST_FORBIDDEN', `unable to log in; ${why}`);
  });
  scope.post(
    '/api/demo/login',
    {
      schema: {
        summary: 'Log in by name (demo only)',
        body: demoLoginBody,
        response: { 200: demoLoginAnswer.describe('A user token, valid for 12 hours') },
      },
    },
    async (request) => {
      const { name } = request.body;
      // User ids are printable ASCII without space; names need not be.
      const id = parseUserId(`demo:${encodeURIComponent(name)}`);
      if (id === undefined) throw new GroupcastError('INVALID_PAYLOAD', 'unable to log in; the name is too long');
      await joinOpenGroup(deps, LOBBY.id, id);
      const { token } = await signUserToken({
        secret,
        userClaim,
        userId: id,
        name,
        ttlSeconds: TOKEN_TTL_SECONDS,
        ...(issuer === undefined ? {} : { issuer }),
        ...(audience === undefined ? {} : { audience }),
      });
      return { user: { id, name }, token };
    },
  );
}

/** Creates the lobby unless it exists. It has no owner, so that no guest can delete it. */
export async function openLobby(deps: GroupDeps): Promise<void> {
  if (await findExisting(deps.db, { id: LOBBY.id, directKey: null })) return;
  await createGroup(deps, { id: LOBBY.id, name: LOBBY.name, kind: 'group', memberIds: [], userId: LOBBY.founderId });
  await deleteMember(deps.db, LOBBY.id, LOBBY.founderId);
}
