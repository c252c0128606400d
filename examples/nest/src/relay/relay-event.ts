import { SetMetadata } from '@nestjs/common';

export const RELAY_EVENT = Symbol('relay event');

/** Has a method of a provider carry out an event of clients. Its result goes into the acknowledgement, and so does a `ChatException`. */
export const RelayEvent = (event: string): MethodDecorator => SetMetadata(RELAY_EVENT, event);

/** The body of `/internal/events`. */
export interface ClientEvent {
  userId: string;
  socketId: string;
  event: string;
  /** Of the client's own: anything may be in it. */
  payload: unknown;
  groupId?: string;
  dialect: string;
}
