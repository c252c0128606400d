import type { IncomingMessage } from 'node:http';
import { isOriginAllowed, type Origins } from '@groupcast/service-kit';
import { nearestText } from '@groupcast/shared';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { Notices } from '../monitor/notices.ts';

type AllowRequest = (
  request: IncomingMessage,
  done: (error: string | null | undefined, allowed: boolean) => void,
) => void;

const MAX_SHOWN = 128;

function refusalOf(name: string, origins: Origins): string {
  const near = typeof origins === 'string' ? undefined : nearestText(name, origins);
  const has = near === undefined ? '' : ` (which has ${near})`;
  return `connection refused: the origin ${JSON.stringify(name.slice(0, MAX_SHOWN))} is not allowed; add it to SOCKET_CORS_ORIGIN if it is yours${has}`;
}

/**
 * Refuses foreign origins below Socket.IO, before a connection exists: CORS does not protect a WebSocket, so the origin is checked here for
 * both transports. The code is in the body of the 4xx answer.
 */
export function createOriginGate(options: { origins: Origins; metrics: RelayMetrics; notices: Notices }): AllowRequest {
  const { origins, metrics, notices } = options;
  return (request, done) => {
    const { origin } = request.headers;
    if (!isOriginAllowed(origins, origin)) {
      metrics.refused.inc({ code: 'ORIGIN_FORBIDDEN' });
      const name = origin ?? '';
      notices({
        topic: 'origins',
        name,
        code: 'ORIGIN_FORBIDDEN',
        message: () => refusalOf(name, origins),
        origin: name,
        address: request.socket.remoteAddress,
      });
      done('ORIGIN_FORBIDDEN', false);
    } else {
      done(null, true);
    }
  };
}
