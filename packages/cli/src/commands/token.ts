import { AUDIENCE, MAX_SHORT_TOKEN_SECONDS, SERVICE_SCOPES, type ServiceScope } from '@groupcast/shared';
import { signServiceToken } from '@groupcast/tokens';
import {
  choiceOption,
  durationOption,
  type GivenOptions,
  groupIdsOption,
  readOptions,
  userIdOption,
} from '../arguments.ts';
import { type Command, EXIT, UsageError, type Variables } from '../command.ts';
import { readServiceSettings, readSettings } from '../settings.ts';
import { signConfiguredUserToken } from '../user-tokens.ts';

const USAGE = `Usage: groupcast token --user ID [--groups ID,ID] [--ttl 1h] [--name NAME] [--json]
       groupcast token --service --scope SCOPE[,SCOPE] [--audience relay|api] [--ttl 5m] [--json]

Prints a token for development and tests, and nothing else on stdout
(in a clone: npm run -s token -- --user alice).

User tokens are signed with JWT_SECRET and carry JWT_ISSUER and JWT_AUDIENCE
where these are set. Without JWT_SECRET the generated secret in DATA_DIR is used,
the same that groupcast start uses.
  --user ID        who the token is for (sub)
  --groups ID,ID   groups that the relay joins on connect
  --name NAME      the user's name
  --ttl 1h         how long it is valid: 90s, 10m, 1h, 2d; a bare number is seconds

Service tokens are signed with RELAY_SERVICE_SECRET and live at most 10 minutes.
  --scope          ${SERVICE_SCOPES.join(', ')}; several with commas or spaces
  --audience       relay (default) or api
  --ttl 5m         at most 10m

  --json           an object instead: token, type, expiresAt (Unix seconds), and
                   userId, groups or scopes, audience
`;

const OPTIONS = {
  user: 'string',
  groups: 'string',
  name: 'string',
  service: 'boolean',
  scope: 'string',
  audience: 'string',
  ttl: 'string',
  json: 'boolean',
} as const;
type Given = GivenOptions<typeof OPTIONS>;

const MAX_USER_TTL_MS = 365 * 86_400_000;

function refuse(given: Given, names: readonly (keyof Given)[], why: string): void {
  const stray = names.find((name) => given[name] !== undefined);
  if (stray) throw new UsageError(`--${stray} ${why}`);
}

function ttlSeconds(given: Given, fallbackMs: number, maxMs: number): number {
  return Math.floor(durationOption('ttl', given.ttl, fallbackMs, { min: 1_000, max: maxMs }) / 1_000);
}

function readScopes(given: string | undefined): ServiceScope[] {
  const names = (given ?? '').split(/[\s,]+/).filter((name) => name !== '');
  if (names.length === 0) throw new UsageError(`--service needs --scope, one or more of ${SERVICE_SCOPES.join(', ')}`);
  return [...new Set(names)].map((name) => {
    const scope = SERVICE_SCOPES.find((known) => known === name);
    if (scope === undefined) throw new UsageError(`--scope must be of ${SERVICE_SCOPES.join(', ')}, got "${name}"`);
    return scope;
  });
}

function expiryOf(token: string): number {
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { exp: number };
  return claims.exp;
}

async function userToken(
  given: Given,
  user: string,
  env: Variables,
): Promise<{ token: string; [field: string]: unknown }> {
  refuse(given, ['scope', 'audience'], 'is for service tokens; add --service, or leave it out');
  const userId = userIdOption('user', user);
  const groups = given.groups === undefined ? undefined : groupIdsOption('groups', given.groups);
  const ttl = ttlSeconds(given, 3_600_000, MAX_USER_TTL_MS);
  const { tokens } = readSettings(env);
  const { token, expiresAt } = await signConfiguredUserToken(tokens, {
    userId,
    ttlSeconds: ttl,
    ...(groups ? { groups } : {}),
    ...(given.name ? { name: given.name } : {}),
  });
  return { token, type: 'user', expiresAt, userId, groups: groups ?? [] };
}

async function serviceToken(given: Given, env: Variables): Promise<{ token: string; [field: string]: unknown }> {
  refuse(given, ['user', 'groups', 'name'], 'is for user tokens; leave out --service, or leave it out');
  const scopes = readScopes(given.scope);
  const audience = AUDIENCE[choiceOption('audience', given.audience, 'relay', ['relay', 'api'])];
  const ttl = ttlSeconds(given, 300_000, MAX_SHORT_TOKEN_SECONDS * 1_000);
  const { relaySecrets } = readServiceSettings(env);
  const token = await signServiceToken({
    secret: relaySecrets.secret,
    scopes,
    audience,
    subject: 'groupcast-token',
    ttlSeconds: ttl,
  });
  return { token, type: 'service', expiresAt: expiryOf(token), scopes, audience };
}

export const token: Command = {
  usage: USAGE,
  async run(args, { env, stdout }) {
    const given = readOptions(args, OPTIONS);
    if (!given.service && given.user === undefined) throw new UsageError('give --user ID, or --service --scope SCOPE');
    const result = given.service ? await serviceToken(given, env) : await userToken(given, given.user ?? '', env);
    stdout.write(`${given.json ? JSON.stringify(result) : result.token}\n`);
    return EXIT.ok;
  },
};
