import type { Dialect } from '@groupcast/dialects';
import type { ErrorBody } from '@groupcast/shared';
import { fixedPartOf, isAtOrBelow } from '../dialects.ts';

/**
 * Makes the body of an answer that refuses: of the dialect that has the path, or else of the one that has routes around it. So a front end
 * reads each refusal, also of a path that no route has. `undefined`: the path is of none.
 */
export function createErrorAnswers(
  dialects: readonly Dialect[],
): ((path: string, error: ErrorBody) => unknown) | undefined {
  const routes = dialects.flatMap((dialect) =>
    dialect.http.map((route) => ({
      dialect,
      fixed: fixedPartOf(route),
      pattern: new RegExp(`^${route.path.replaceAll('.', String.raw`\.`).replaceAll(/:\w+/g, '[^/]+')}$`),
    })),
  );
  if (routes.length === 0) return undefined;
  // The nearest one is the one with the longest beginning.
  const byNearness = routes.toSorted((one, other) => other.fixed.length - one.fixed.length);
  return (path, error) => {
    const found =
      routes.find(({ pattern }) => pattern.test(path)) ?? byNearness.find(({ fixed }) => isAtOrBelow(path, fixed));
    return found?.dialect.httpError(error);
  };
}
