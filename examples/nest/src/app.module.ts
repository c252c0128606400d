import { Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { ChatGateway } from './chat/chat.gateway.js';
import { ChatService } from './chat/chat.service.js';
import { JOURNAL, openJournal } from './chat/journal.js';
import { MessagesController } from './chat/messages.controller.js';
import { CONFIGURATION, type Configuration, readConfiguration } from './configuration.js';
import { PagesController } from './pages.controller.js';
import { OutboxService } from './relay/outbox.service.js';
import { RelayController } from './relay/relay.controller.js';
import { RelayEventsService } from './relay/relay-events.service.js';

@Module({
  imports: [DiscoveryModule],
  controllers: [MessagesController, RelayController, PagesController],
  providers: [
    { provide: CONFIGURATION, useFactory: () => readConfiguration(process.env) },
    {
      provide: JOURNAL,
      useFactory: ({ journalFile }: Configuration) => openJournal(journalFile),
      inject: [CONFIGURATION],
    },
    ChatService,
    ChatGateway,
    OutboxService,
    RelayEventsService,
  ],
})
export class AppModule {}
