import { type Dialect, type HttpRoute, loadDialect } from '@groupcast/dialects';
import type { Environment } from '@groupcast/service-kit';

/** Most dialects that the API serves. */
const MAX_DIALECTS = 16;

/**
 * Paths that are Groupcast's own, with all below them. A route of a dialect has none of them: what answers there must not depend on which
 * dialects are on.
 */
export const OWN_PATHS: readonly string[] = [
  '/api/messaging',
  '/api/realtime',
  '/api/users',
  '/api/demo',
  '/docs',
  '/internal',
  '/livez',
  '/readyz',
  '/metrics',
  '/v1',
  '/socket.io',
];

/** Whether `path` is `above`, or below it. */
export const isAtOrBelow = (path: string, above: string): boolean => path === above || path.startsWith(`${above}/`);

/** The beginning of a path that is the same whatever its parameters are: `/api/v1/chats`. It is empty where a parameter comes first. */
export const fixedPartOf = ({ path }: Pick<HttpRoute, 'path'>): string => path.split('/:', 1)[0] ?? '';

/** The same for two routes of which only one could be served. */
const keyOf = ({ method, path }: HttpRoute): string => `${method} ${path.replaceAll(/:\w+/g, ':')}`;

function problemOf(route: HttpRoute, ownPaths: readonly string[]): string | undefined {
  const fixed = fixedPartOf(route);
  if (fixed === '') return 'its path must not begin with a parameter';
  const own = ownPaths.find((each) => isAtOrBelow(fixed, each) || isAtOrBelow(each, fixed));
  return own === undefined ? undefined : `${own} and what is below it are Groupcast’s own`;
}

/** Names the routes that cannot be served, and why. */
function problemsOfRoutes(dialects: readonly Dialect[], ownPaths: readonly string[]): string[] {
  const taken = new Map<string, string>();
  return dialects.flatMap(({ name, http }) =>
    http.flatMap((route) => {
      const key = keyOf(route);
      const other = taken.get(key);
      taken.set(key, other ?? name);
      const conflict = other === undefined ? undefined : `the dialect "${other}" has the same route`;
      const why = problemOf(route, ownPaths) ?? conflict;
      return why === undefined ? [] : [`the route ${route.method} ${route.path} of the dialect "${name}"; ${why}`];
    }),
  );
}

/**
 * `API_DIALECTS`: the dialects whose routes the API serves, by name or by the path to a file. Names every fault of every file. `relayWsPath`:
 * a path that is the relay's, which the API may pass on to it.
 */
export function readApiDialects(env: Environment, relayWsPath: string | undefined): readonly Dialect[] {
  const names = (env.text('API_DIALECTS') ?? '').split(',').flatMap((name) => name.trim() || []);
  if (names.length > MAX_DIALECTS) {
    env.problem(`API_DIALECTS must list at most ${MAX_DIALECTS} dialects, got ${names.length}`);
    return [];
  }
  const dialects = new Map<string, Dialect>();
  for (const each of new Set(names)) {
    const { dialect, faults } = loadDialect(each);
    for (const fault of faults) env.problem(`API_DIALECTS ${each}: ${fault}`);
    if (!dialect) continue;
    if (dialects.has(dialect.name)) env.problem(`API_DIALECTS ${each}: another one is called "${dialect.name}" too`);
    else dialects.set(dialect.name, dialect);
  }
  const listed = [...dialects.values()];
  const ownPaths = relayWsPath === undefined ? OWN_PATHS : [...OWN_PATHS, relayWsPath];
  for (const problem of problemsOfRoutes(listed, ownPaths)) env.problem(`API_DIALECTS must not have ${problem}`);
  return listed;
}
