import type { IncomingMessage } from 'node:http';
import { createServiceTokenVerifier } from '@groupcast/tokens';
import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { ChatException } from '../chat/chat-exception.js';
import { CONFIGURATION, type Configuration } from '../configuration.js';

/** Lets the relay in, and nobody else: who can call these routes may speak for every user. */
@Injectable()
export class RelayGuard implements CanActivate {
  private readonly verifier;

  constructor(@Inject(CONFIGURATION) { serviceSecret }: Configuration) {
    this.verifier = createServiceTokenVerifier({ secret: serviceSecret, audience: 'groupcast-api' });
  }

  /** Checks signature, audience, end and scope. */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { authorization } = context.switchToHttp().getRequest<IncomingMessage>().headers;
    try {
      await this.verifier.verify(authorization, 'relay');
      return true;
    } catch {
      throw new ChatException(401, 'SERVICE_TOKEN_INVALID', 'unable to answer; this is for the relay');
    }
  }
}
