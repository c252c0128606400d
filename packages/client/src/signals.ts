import type { GroupEvent, Position } from '@groupcast/shared';
import { createKeyedTopic, createTopic, type KeyedTopic, type OnListenerError, type Topic } from './base/store.ts';
import type { ClientEventMap } from './types.ts';

export interface Signals {
  /** For the application: `client.on()`. */
  topics: { [K in keyof ClientEventMap]: Topic<ClientEventMap[K]> };
  /** For the application: `client.group().onEvent()`. */
  groupEvents: KeyedTopic<GroupEvent>;
  /** What a part of the client tells the parts above it, which are built later. */
  told: {
    /** The API lists a group, and where it stands. */
    listed: Topic<{ groupId: string; position: Position }>;
    /** The list was read to its end. */
    listRead: Topic<void>;
    /** A group is not in the list any more. */
    gone: Topic<string>;
    /** The relay delivers nothing at the moment, or does again. */
    live: Topic<boolean>;
  };
}

export function createSignals(onListenerError: OnListenerError): Signals {
  const topic = <T>(): Topic<T> => createTopic<T>(onListenerError);
  return {
    topics: { event: topic(), transient: topic(), reset: topic(), left: topic() },
    groupEvents: createKeyedTopic(onListenerError),
    told: { listed: topic(), listRead: topic(), gone: topic(), live: topic() },
  };
}
