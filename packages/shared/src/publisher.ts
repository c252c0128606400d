// The subpath for publishers: all that they use of this package and that is no schema, so that they load no schema library.
export * from './command-endpoints.ts';
export * from './errors.ts';
export * from './relay-address.ts';
export * from './token-claims.ts';
export * from './trace-limits.ts';
