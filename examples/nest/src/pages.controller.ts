import { signUserToken } from '@groupcast/tokens';
import { Body, Controller, HttpCode, Inject, Post } from '@nestjs/common';
import { ChatService } from './chat/chat.service.js';
import { ChatException } from './chat/chat-exception.js';
import { CONFIGURATION, type Configuration } from './configuration.js';

const PEOPLE = ['alice', 'bob', 'carol'];

/** Signs people in by name alone, as no application should. */
@Controller()
export class PagesController {
  constructor(
    private readonly chat: ChatService,
    @Inject(CONFIGURATION) private readonly configuration: Configuration,
  ) {}

  /** The token says who the user is. Which groups they are in, the relay asks this server. */
  @Post('sign-in')
  @HttpCode(200)
  async signIn(@Body() body: { userId?: unknown } | undefined) {
    const userId = PEOPLE.find((id) => id === body?.userId);
    if (!userId)
      throw new ChatException(400, 'INVALID_PAYLOAD', `unable to sign in; userId is one of ${PEOPLE.join(', ')}`);
    const { userTokenSecret: secret, relayPublicUrl: relayUrl } = this.configuration;
    const { token } = await signUserToken({ secret, userId, ttlSeconds: 12 * 60 * 60 });
    return { userId, token, relayUrl, groups: this.chat.groupsOf(userId) };
  }
}
