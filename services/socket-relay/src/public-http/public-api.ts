import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  bearerToken,
  type ConnectionLimit,
  createHttpApp,
  type HttpRequest,
  isFromForeignPage,
  type Logger,
  nothingAt,
  readMuch,
} from '@groupcast/service-kit';
import { type ErrorCode, GroupcastError, type ServiceScope } from '@groupcast/shared';
import type { ServiceTokenVerifier } from '@groupcast/tokens';
import { type BroadcastRoutesDeps, bodyLimitOf, broadcastRoutes, codeOf } from '../internal-http/broadcast-routes.ts';
import type { Notices } from '../monitor/notices.ts';
import { createPublisherBudgets } from './publisher-budgets.ts';

/** Codes that say something about the caller. The others are answers to a back end, which hears them and nobody else. */
const REPORTED: ReadonlySet<ErrorCode> = new Set([
  'SERVICE_TOKEN_INVALID',
  'FORBIDDEN',
  'ORIGIN_FORBIDDEN',
  'RATE_LIMITED',
  'PAYLOAD_TOO_LARGE',
]);

export interface PublicApi {
  /** Answers a request to a path below `/v1`. */
  answer(request: IncomingMessage, response: ServerResponse): void;
  close(): Promise<void>;
}

/** Whether a path is one of the broadcast API. */
export function isApiPath(path: string): boolean {
  return path.startsWith('/v1/');
}

/**
 * The broadcast API on the public port, for back ends that do not reach the internal one, such as serverless functions. The bounds of the
 * public port hold for its requests: for their head, for how long they may take to arrive, for their pieces. Before the token has been
 * verified no byte of a body is kept, and a refused request whose body has not come yet ends its connection.
 *
 * Pages of other origins are refused, whatever token they have: one in a page would be everybody's.
 */
export async function createPublicApi(
  deps: Omit<BroadcastRoutesDeps, 'authorise'> & {
    services: ServiceTokenVerifier;
    connections: ConnectionLimit;
    notices: Notices;
    log: Logger;
  },
  options: { maxPayloadBytes: number; publicApi: { requestsPerMinute: number } },
): Promise<PublicApi> {
  const { services, metrics, notices } = deps;
  const budgets = createPublisherBudgets(options.publicApi);
  const addressOf = ({ raw }: HttpRequest): string | undefined => raw.socket.remoteAddress;

  function note(request: HttpRequest, error: Error): void {
    const code = codeOf(error);
    metrics.publicApiRefused.inc({ code });
    if (!REPORTED.has(code)) return;
    // It is no connection of a user: traces, which name refused connections by their address, leave it out.
    const from = addressOf(request) ?? 'an address that is not known';
    notices({
      topic: 'public-api',
      name: `${code} ${from}`,
      code,
      message: () => `request to the broadcast API refused: ${error.message} (from ${from})`,
    });
  }

  async function authorise(request: HttpRequest, scope: ServiceScope): Promise<void> {
    const { method, headers, raw } = request;
    const address = addressOf(request);
    if (isFromForeignPage(method, headers)) {
      budgets.countStranger(address);
      throw new GroupcastError(
        'ORIGIN_FORBIDDEN',
        'unable to serve the request; the broadcast API serves no pages: a service token belongs on a server',
      );
    }
    const subject = await services.verify(bearerToken(request), scope).then(
      (claims) => claims.subject,
      (refusal: unknown) => {
        budgets.countStranger(address);
        throw refusal;
      },
    );
    budgets.countPublisher(address, subject);
    readMuch(raw.socket);
  }

  const app = await createHttpApp({
    log: deps.log,
    port: 'relay',
    connections: deps.connections,
    bodyLimitBytes: bodyLimitOf(options.maxPayloadBytes),
    async before(root) {
      // Otherwise the body would be read before anybody says that there is nothing.
      root.addHook('onRequest', async (request) => {
        if (!request.is404) return;
        budgets.countStranger(addressOf(request));
        throw nothingAt(request, 'relay');
      });
      root.addHook('onError', async (request, _reply, error) => note(request, error));
      root.addHook('onSend', async (request, reply) => {
        if (reply.statusCode >= 400 && !request.raw.complete) reply.header('connection', 'close');
      });
    },
  });
  await broadcastRoutes(app, { ...deps, authorise });
  await app.ready();
  return {
    answer: (request, response) => app.routing(request, response),
    close: async () => app.close(),
  };
}
