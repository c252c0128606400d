import type { IncomingMessage } from 'node:http';
import { createUserTokenVerifier } from '@groupcast/tokens';
import { type CanActivate, createParamDecorator, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { CONFIGURATION, type Configuration } from '../configuration.js';
import { ChatException } from './chat-exception.js';

type SignedRequest = IncomingMessage & { userId?: string };

/** Takes the user's token, which is the relay's as well. Put the guard that you have in its place. */
@Injectable()
export class UserGuard implements CanActivate {
  private readonly verifier;

  constructor(@Inject(CONFIGURATION) { userTokenSecret }: Configuration) {
    this.verifier = createUserTokenVerifier({ secret: userTokenSecret });
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<SignedRequest>();
    try {
      request.userId = (await this.verifier.verify(request.headers.authorization)).userId;
      return true;
    } catch {
      throw new ChatException(401, 'TOKEN_INVALID', 'unable to serve the request; sign in first');
    }
  }
}

export const UserId = createParamDecorator((_: unknown, context: ExecutionContext) => {
  return context.switchToHttp().getRequest<SignedRequest>().userId;
});
