import { type ErrorCode, GroupcastError } from '@groupcast/shared';
import type { Environment } from './environment.ts';
import { isForwarded, isFromForeignPage, isHostTrusted, isLoopbackName } from './host-names.ts';
import { bearerToken, type HttpRequest, type RequestHook } from './http.ts';
import type { Logger } from './logger.ts';
import { warnOnceEvery } from './warn-once-every.ts';

const NAME = /^(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*)$/;
const MAX_NAMES = 100;

/** A comma-separated list of host names and addresses without ports, such as `RELAY_INTERNAL_NAMES`; `[::1]` is an address too. */
export function readHostNames(env: Environment, variable: string): string[] {
  const names = (env.text(variable) ?? '').toLowerCase().split(',');
  const given = names.map((name) => name.trim().replace(/^\[(.*)\]$/, '$1')).filter((name) => name !== '');
  const wrong = given.find((name) => !NAME.test(name));
  if (wrong !== undefined) env.problem(`${variable} must list host names without ports, got "${wrong}"`);
  if (given.length > MAX_NAMES) env.problem(`${variable} must list at most ${MAX_NAMES} names`);
  return given;
}

/**
 * What stands before an internal port, which trusts those who reach it with `/metrics`, `/readyz` and `/docs`. Reaching it is not
 * enough where a web page does so through its reader's browser, or where a proxy does so for the whole world:
 *
 * - A page of another origin is refused, with a token as well.
 * - A page whose own name was made to lead here (DNS rebinding) is known by that name in `Host`, so without a service token only
 *   addresses, loopback names, `host` and `names` are served; and names without a dot where the port is open to other machines, as
 *   containers call each other: no page has such a name.
 * - On loopback, what a proxy on this machine forwards needs a service token too.
 */
export function createHostGate(deps: {
  /** Where the port listens. */
  host: string;
  names: readonly string[];
  /** The variable that lists `names`, for the message of a refusal. */
  variable: string;
  services: { verify(token: string): Promise<unknown> };
  onRefused: (code: ErrorCode) => void;
  log: Logger;
}): RequestHook {
  const { services, onRefused, log } = deps;
  const names = [deps.host, ...deps.names];
  const isOnLoopback = isLoopbackName(deps.host);
  const warn = warnOnceEvery(60_000);

  function refuse(request: HttpRequest, code: ErrorCode, message: string): never {
    const { host, origin } = request.headers;
    onRefused(code);
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
      const why = `the host "${headers.host}" is unknown here: ask by address, add it to ${deps.variable}, or send a service token`;
      refuse(request, 'HOST_FORBIDDEN', `unable to serve the request; ${why}`);
    }
  };
}
