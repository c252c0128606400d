import type { IncomingMessage } from 'node:http';
import { isOriginAllowed, type Logger, type Origins, warnOnceEvery } from '@groupcast/service-kit';
import type { RelayMetrics } from '../metrics.ts';

type AllowRequest = (
  request: IncomingMessage,
  done: (error: string | null | undefined, allowed: boolean) => void,
) => void;

/**
 * Refuses below Socket.IO, before a connection exists: CORS does not protect a WebSocket, so the origin is checked here
 * for both transports. The code is in the body of the 4xx answer.
 */
export function createOriginGate(options: { origins: Origins; metrics: RelayMetrics; log: Logger }): AllowRequest {
  const warn = warnOnceEvery(60_000);
  return (request, done) => {
    const { origin } = request.headers;
    if (!isOriginAllowed(options.origins, origin)) {
      options.metrics.refused.inc({ code: 'ORIGIN_FORBIDDEN' });
      warn('origin', (suppressed) => {
        options.log.warn(
          { code: 'ORIGIN_FORBIDDEN', origin, suppressed },
          'connection refused; add the origin to SOCKET_CORS_ORIGIN if it is yours',
        );
      });
      done('ORIGIN_FORBIDDEN', false);
    } else {
      done(null, true);
    }
  };
}
