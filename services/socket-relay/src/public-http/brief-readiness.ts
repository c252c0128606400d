import type { ServerResponse } from 'node:http';
import type { MachineHealth } from '../internal-http/machine-health.ts';

/** How long an answer counts, in milliseconds: however often strangers ask, the workers of the machine are asked this often. */
const REMEMBERED_MS = 500;

/**
 * Answers whether this machine should be given work, for hosts with one port, and not what fails: everybody may ask there, and somebody who
 * attacks would read off it how far they are. The internal port names the parts. It says whose answer it is: at an address that should be the
 * API's it would look like that of the API.
 */
export function createBriefReadiness(
  health: Pick<MachineHealth, 'report'>,
  now: () => number = () => performance.now(),
): (response: ServerResponse) => Promise<void> {
  let asked: { at: number; isReady: Promise<boolean> } | undefined;
  return async (response) => {
    if (!asked || now() - asked.at >= REMEMBERED_MS) {
      const isReady = health.report().then(
        ({ failing }) => failing.length === 0,
        () => false,
      );
      asked = { at: now(), isReady };
    }
    const isReady = await asked.isReady;
    response.writeHead(isReady ? 200 : 503, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify({ status: isReady ? 'ready' : 'unready', service: 'socket-relay' }));
  };
}
