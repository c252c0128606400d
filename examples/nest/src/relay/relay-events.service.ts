import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { ChatException } from '../chat/chat-exception.js';
import { type ClientEvent, RELAY_EVENT } from './relay-event.js';

type Handler = (event: ClientEvent) => object | Promise<object>;

/** Finds the methods with `@RelayEvent`, as Nest finds those with `@SubscribeMessage`. */
@Injectable()
export class RelayEventsService implements OnModuleInit {
  private readonly handlers = new Map<string, Handler>();

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  onModuleInit(): void {
    for (const { instance } of this.discovery.getProviders()) {
      if (typeof instance !== 'object' || instance === null) continue;
      for (const name of this.scanner.getAllMethodNames(Object.getPrototypeOf(instance))) {
        const method = (instance as Record<string, Handler>)[name];
        const event = method && (Reflect.getMetadata(RELAY_EVENT, method) as string | undefined);
        if (event !== undefined && method) this.handlers.set(event, method.bind(instance));
      }
    }
  }

  /** The acknowledgement as the client gets it. Throws where this server has failed, so that the client may try again. */
  async carryOut(event: ClientEvent): Promise<object> {
    try {
      const handler = this.handlers.get(event.event);
      if (!handler)
        throw new ChatException(400, 'UNKNOWN_EVENT', `unable to carry out ${event.event}; it is not known`);
      return { ok: true, ...(await handler(event)) };
    } catch (error) {
      if (!(error instanceof ChatException)) throw error;
      return { ok: false, error: { code: error.code, message: error.message, retryable: false } };
    }
  }
}
