/** The four ports of the two services. */
export type Door = 'api' | 'api-internal' | 'relay' | 'relay-internal';

const NAMES: Readonly<Record<Door, string>> = {
  api: 'the public port of the API (API_PORT, by default 3000)',
  'api-internal': 'the internal port of the API (API_INTERNAL_PORT, by default 3003)',
  relay: 'the public port of the relay (RELAY_PORT, by default 3001)',
  'relay-internal': 'the internal port of the relay (RELAY_INTERNAL_PORT, by default 3002)',
};

/** What is behind which doors, by the first segment of the path. */
const PATHS: Readonly<Record<string, readonly Door[]>> = {
  api: ['api'],
  internal: ['api-internal'],
  'socket.io': ['relay'],
  v1: ['relay-internal'],
  metrics: ['relay-internal', 'api-internal'],
  readyz: ['relay-internal', 'api', 'api-internal'],
  docs: ['relay-internal', 'api'],
};

/**
 * Where a path is served that this door does not have, in words for whoever has knocked at the wrong one; `undefined` where no door
 * of ours has it. The door of the same service comes first.
 */
export function doorOf(path: string, here: Door): string | undefined {
  const segment = path.split('/')[1] ?? '';
  const doors = Object.hasOwn(PATHS, segment) ? (PATHS[segment] ?? []) : [];
  if (doors.includes(here)) return undefined;
  const service = here.split('-')[0] ?? '';
  const door = doors.find((each) => each.startsWith(service)) ?? doors[0];
  return door && `it is served at ${NAMES[door]}`;
}
