/** The four ports of the two services. */
export type ServicePort = 'api' | 'api-internal' | 'relay' | 'relay-internal';

const NAMES: Readonly<Record<ServicePort, string>> = {
  api: 'the public port of the API (API_PORT, by default 3000)',
  'api-internal': 'the internal port of the API (API_INTERNAL_PORT, by default 3003)',
  relay: 'the public port of the relay (RELAY_PORT, by default 3001)',
  'relay-internal': 'the internal port of the relay (RELAY_INTERNAL_PORT, by default 3002)',
};

/** The ports that serve each path, by its first segment. */
const PATHS: Readonly<Record<string, readonly ServicePort[]>> = {
  api: ['api'],
  internal: ['api-internal'],
  'socket.io': ['relay'],
  v1: ['relay-internal'],
  metrics: ['relay-internal', 'api-internal'],
  readyz: ['relay-internal', 'relay', 'api', 'api-internal'],
  docs: ['relay-internal', 'api'],
};

/**
 * Says in words which port serves a path that the port `here` does not have; `undefined` where no port has it. Where several do, the one of
 * the same service is named.
 */
export function hintOfPort(path: string, here: ServicePort): string | undefined {
  const segment = path.split('/')[1] ?? '';
  const ports = Object.hasOwn(PATHS, segment) ? (PATHS[segment] ?? []) : [];
  if (ports.includes(here)) return undefined;
  const service = here.split('-')[0] ?? '';
  const port = ports.find((each) => each.startsWith(service)) ?? ports[0];
  const proxied = here === 'api' && port === 'relay' ? ', and here with API_RELAY_PROXY=1' : '';
  return port && `it is served at ${NAMES[port]}${proxied}`;
}
