/** The claim of a verified token at a path such as `user.id`. A claim whose own name has the dots comes first, since identity providers name theirs by URLs. */
export function readClaim(claims: Readonly<Record<string, unknown>>, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  let value: unknown = claims;
  for (const name of path.split('.')) {
    // A name that every object inherits is no claim.
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** Claims that have `value` at the path, and nothing else. */
export function claimAt(path: string, value: unknown): Record<string, unknown> {
  const [first = '', ...rest] = path.split('.');
  return { [first]: rest.length === 0 ? value : claimAt(rest.join('.'), value) };
}
