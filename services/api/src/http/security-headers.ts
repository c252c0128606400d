import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { HttpApp } from '@groupcast/service-kit';
import helmet, { type HelmetOptions } from 'helmet';

/**
 * Sends helmet's headers with every answer. They are the same each time, so helmet is asked once: to let it make them for each request costs
 * as much as to check the caller's token.
 */
export function sendSecurityHeaders(app: HttpApp, options: HelmetOptions): void {
  const request = new IncomingMessage(new Socket());
  const sample = new ServerResponse(request);
  helmet(options)(request, sample, (error) => {
    if (error !== undefined) throw error;
  });
  const headers = sample.getHeaders();
  app.addHook('onRequest', (_request, reply, next) => {
    reply.headers(headers);
    next();
  });
}
