/**
 * The folder in which the built services lie as they do in the repository: the repository itself, or the `dist` of the published
 * package, which is a copy of its built parts at the same places.
 */
const TREE = new URL('../../../../', import.meta.url);

export const SERVICES = { api: 'services/api', relay: 'services/socket-relay' } as const;
export type ServiceName = keyof typeof SERVICES;

/** The address of a file that the build has made of a service. */
export function builtFile(service: ServiceName, name: 'main.js' | 'config.js'): URL {
  return new URL(`${SERVICES[service]}/dist/${name}`, TREE);
}
