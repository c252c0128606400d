import {
  bearerToken,
  type HttpRequest,
  isForwarded,
  isFromForeignPage,
  isHostTrusted,
  isLoopbackName,
  type Logger,
  type RequestHook,
  warnOnceEvery,
} from '@groupcast/service-kit';
import { type ErrorCode, GroupcastError } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import type { RelayMetrics } from '../metrics.ts';

/**
 * What stands before the internal port, which trusts those who reach it with `/metrics`, `/readyz` and `/docs`. Reaching it is not
 * enough where a web page does so through its reader's browser, or where a proxy does so for the whole world:
 *
 * - A page of another origin is refused, with a token as well.
 * - A page whose own name was made to lead here (DNS rebinding) is known by that name in `Host`, so without a service token only
 *   addresses, loopback names, `RELAY_INTERNAL_HOST` and `RELAY_INTERNAL_NAMES` are served; and names without a dot where the port is
 *   open to other machines, as containers call each other: no page has such a name.
 * - On loopback, what a proxy on this machine forwards needs a service token too.
 */
export function createHostGate(deps: {
  internalHost: string;
  internalNames: readonly string[];
  services: ServiceTokenVerifier;
  metrics: RelayMetrics;
  log: Logger;
}): RequestHook {
  const { services, metrics, log } = deps;
  const names = [deps.internalHost, ...deps.internalNames];
  const isOnLoopback = isLoopbackName(deps.internalHost);
  const warn = warnOnceEvery(60_000);

  function refuse(request: HttpRequest, code: ErrorCode, message: string): never {
    const { host, origin } = request.headers;
    metrics.internalRefused.inc({ code });
    warn(code, (suppressed) => {
      log.warn({ code, host, origin, path: request.url.split('?')[0], suppressed }, 'internal request refused');
    });
    throw new GroupcastError(code, message);
  }

  return async (request) => {
    const { headers, method } = request;
    if (isFromForeignPage(method, headers)) {
      refuse(
        request,
        'ORIGIN_FORBIDDEN',
        'unable to serve the request; the internal port serves no pages of other origins',
      );
    }
    const isSingleLabel = !isOnLoopback && /^[\w-]+(?::\d+)?$/.test(headers.host ?? '');
    const isKnown = isSingleLabel || isHostTrusted(headers.host, names);
    const isDirect = !(isOnLoopback && isForwarded(headers));
    if (isKnown && isDirect) return;
    const token = bearerToken(request);
    if (token !== undefined) {
      await services.verify(token);
    } else if (isKnown) {
      const why = 'a proxy has forwarded it: send a service token, or ask without the proxy';
      refuse(request, 'SERVICE_TOKEN_INVALID', `unable to serve the request; ${why}`);
    } else {
      const why = `the host "${headers.host}" is unknown here: ask by address, add it to RELAY_INTERNAL_NAMES, or send a service token`;
      refuse(request, 'HOST_FORBIDDEN', `unable to serve the request; ${why}`);
    }
  };
}
