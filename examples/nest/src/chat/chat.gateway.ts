import { Injectable } from '@nestjs/common';
import { type ClientEvent, RelayEvent } from '../relay/relay-event.js';
import { ChatService } from './chat.service.js';
import type { Message } from './journal.js';

/**
 * Takes what clients send over their sockets. It was, before the relay:
 *
 *     @WebSocketGateway({ cors: … })
 *     export class ChatGateway implements OnGatewayConnection {
 *       @WebSocketServer() server: Server;
 *       handleConnection(socket) { … verify the token, socket.join(…) }
 *       @SubscribeMessage('send_message')
 *       send(@ConnectedSocket() socket, @MessageBody() { conversationId, content }) {
 *         const message = this.chat.send(…);
 *         this.server.to(conversationId).emit('new_message', …);
 *       }
 *     }
 *
 * Connections, rooms and `emit` are the relay's now. The names of the events, such as `send_message` and `new_message`, may stay what they
 * are in the front end: `RELAY_DIALECT=underscore-message`.
 */
@Injectable()
export class ChatGateway {
  constructor(private readonly chat: ChatService) {}

  /** The relay has authenticated the user, and checked that they are in the group. The outbox broadcasts the message. */
  @RelayEvent('send-message')
  send({ userId, groupId = '', payload }: ClientEvent): { message: Message } {
    const { content, clientMessageId } = payload as { content?: unknown; clientMessageId?: unknown };
    return { message: this.chat.send({ groupId, userId, content, clientMessageId }) };
  }
}
