import type { Environment } from './environment.ts';

const SOCKET_IO = '/socket.io';
const BROADCAST_API = '/v1';
const PATH = /^(?:\/[A-Za-z0-9._~-]+)+$/;

/** `RELAY_WS_PATH`: the path at which the relay speaks WebSocket without Socket.IO. Without a value it does so nowhere. */
export function readRelayWsPath(env: Environment): string | undefined {
  const path = env.text('RELAY_WS_PATH');
  if (path === undefined) return undefined;
  const isTaken =
    path === '/livez' ||
    path === '/readyz' ||
    [SOCKET_IO, BROADCAST_API].some((taken) => `${path}/`.startsWith(`${taken}/`));
  const leaves = path.split('/').some((part) => part === '.' || part === '..');
  if (PATH.test(path) && path.length <= 128 && !isTaken && !leaves) return path;
  env.problem(
    `RELAY_WS_PATH must be a path such as /ws (letters, digits, "-", "_", ".", "~"), and not /livez, /readyz, or below /socket.io/ or /v1/, got "${path}"`,
  );
  return undefined;
}
