import { Body, Controller, Get, Param, Post, UseGuards } from '@nestjs/common';
import { ChatService } from './chat.service.js';
import type { Message } from './journal.js';
import { UserGuard, UserId } from './user.guard.js';

@Controller('groups/:groupId/messages')
@UseGuards(UserGuard)
export class MessagesController {
  constructor(private readonly chat: ChatService) {}

  @Get()
  list(@Param('groupId') groupId: string, @UserId() userId: string): { messages: readonly Message[] } {
    return { messages: this.chat.list(groupId, userId) };
  }

  /** 201 says that the message is saved, and will reach every member, whichever process crashes next. */
  @Post()
  send(
    @Param('groupId') groupId: string,
    @UserId() userId: string,
    @Body() body: { content?: unknown; clientMessageId?: unknown } | undefined,
  ): { message: Message } {
    const { content, clientMessageId } = body ?? {};
    return { message: this.chat.send({ groupId, userId, content, clientMessageId }) };
  }
}
