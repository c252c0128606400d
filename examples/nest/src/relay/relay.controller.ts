import { Body, Controller, HttpCode, Post, UseGuards } from '@nestjs/common';
import { ChatService } from '../chat/chat.service.js';
import { RelayGuard } from './relay.guard.js';
import type { ClientEvent } from './relay-event.js';
import { RelayEventsService } from './relay-events.service.js';

/** Answers what the relay asks: docs/reference/back-end.md. */
@Controller('internal')
@UseGuards(RelayGuard)
export class RelayController {
  constructor(
    private readonly chat: ChatService,
    private readonly events: RelayEventsService,
  ) {}

  /** Which of these groups is each user a member of? */
  @Post('memberships')
  @HttpCode(200)
  memberships(@Body() { users }: { users: { userId: string; groupIds: string[] }[] }) {
    const confirmed = users.map(({ userId, groupIds }) => ({
      userId,
      groupIds: groupIds.filter((groupId) => this.chat.isMember(userId, groupId)),
    }));
    return { users: confirmed };
  }

  /** Which groups is each user in? For front ends that join them all at once. */
  @Post('groups')
  @HttpCode(200)
  groups(@Body() { userIds }: { userIds: string[] }) {
    return { users: userIds.map((userId) => ({ userId, groupIds: this.chat.groupsOf(userId).map(({ id }) => id) })) };
  }

  /** Carry out what a client has sent over its socket. */
  @Post('events')
  @HttpCode(200)
  async carryOut(@Body() event: ClientEvent) {
    return this.events.carryOut(event);
  }

  /** What should a group's empty log hold? A relay that was restarted asks, so that clients miss nothing. */
  @Post('history')
  @HttpCode(200)
  history(@Body() { groups, limit }: { groups: string[]; limit: number }) {
    const historyOf = (groupId: string) => {
      const { epoch = '', messages = [] } = this.chat.history(groupId, limit) ?? {};
      const events = messages.map((message) => ({ ...message, event: 'new-message', epoch }));
      const seq = messages.at(-1)?.seq;
      return { groupId, position: seq === undefined ? null : { epoch, seq }, events };
    };
    return { groups: groups.map(historyOf) };
  }
}
