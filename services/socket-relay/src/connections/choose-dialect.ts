import type { IncomingHttpHeaders } from 'node:http';
import type { Dialect } from '@groupcast/dialects';
import { GroupcastError } from '@groupcast/shared';
import type { DialectConfig } from '../dialect-config.ts';
import { nearestText } from './nearest-name.ts';

const MAX_SHOWN = 64;

/**
 * The name of the host that a client asked for, which a proxy in front may have put aside. A client that says another one gets another
 * vocabulary, and nothing else.
 */
function hostIn({ host = '', 'x-forwarded-host': forwarded }: IncomingHttpHeaders): string {
  const [asked = host] = (typeof forwarded === 'string' ? forwarded : host).split(',');
  return asked.trim().toLowerCase().replace(/:\d+$/, '');
}

/**
 * Chooses the vocabulary of a connection: by `?dialect=` in the URL that its client is configured with, else by the name of the host that it
 * asked for, else the default. `undefined` is the native one. Throws `INVALID_PAYLOAD` where the URL names one that is not allowed.
 */
export function chooseDialect(
  { allowed, byHost, usual }: DialectConfig,
  asked: { query: Readonly<Record<string, unknown>>; headers: IncomingHttpHeaders },
): Dialect | undefined {
  const { dialect: name } = asked.query;
  if (name === undefined) return byHost.get(hostIn(asked.headers)) ?? usual;
  const named = typeof name === 'string' ? allowed.get(name) : undefined;
  if (named) return named.name === 'native' ? undefined : named;
  const shown = typeof name === 'string' ? name.slice(0, MAX_SHOWN) : 'a list';
  const near = nearestText(shown, allowed.keys());
  const advice = near === undefined ? `those of RELAY_DIALECTS are: ${[...allowed.keys()].join(', ')}` : `"${near}" is`;
  throw new GroupcastError('INVALID_PAYLOAD', `unable to connect; there is no dialect "${shown}" here, ${advice}`);
}
