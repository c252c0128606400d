import type { GroupEvent, GroupSummary } from '@groupcast/shared';
import { createKeyedTopic, createTopic, type KeyedTopic, type OnListenerError, type Topic } from './base/store.ts';
import type { ClientEventMap } from './types.ts';

export interface Signals {
  /** The application subscribes to these with `client.on()`. */
  topics: { [K in keyof ClientEventMap]: Topic<ClientEventMap[K]> };
  /** The application subscribes to these with `client.group().onEvent()`. */
  groupEvents: KeyedTopic<GroupEvent>;
  /** News of a part of the client for the parts above it, which are built later. */
  told: {
    /** The API lists a group, with where it stands and how far the API knows it to be read. */
    listed: Topic<Pick<GroupSummary, 'id' | 'position' | 'readSeq'>>;
    /** The list was read to its end. */
    listRead: Topic<number>;
    /** A group is no longer in the list. */
    gone: Topic<string>;
    /** An event, which has this `seq`, has removed the user from a group; another one may have added the user again. */
    removed: Topic<{ groupId: string; seq: number }>;
    /** Events of a group are followed from here on: the user is in it, for the first time or again. */
    joined: Topic<string>;
    /** The relay has greeted, and again with each further group that this connection is in. */
    greeted: Topic<void>;
    /** Somebody looks at own messages of the group that not everybody has read. */
    awaitingReceipts: Topic<string>;
    /** There is no connection any more. */
    down: Topic<void>;
    /** The relay delivers nothing at the moment, or does again. */
    live: Topic<boolean>;
  };
}

export function createSignals(onListenerError: OnListenerError): Signals {
  const topic = <T>(): Topic<T> => createTopic<T>(onListenerError);
  return {
    topics: { event: topic(), transient: topic(), reset: topic(), left: topic() },
    groupEvents: createKeyedTopic(onListenerError),
    told: {
      listed: topic(),
      listRead: topic(),
      gone: topic(),
      removed: topic(),
      joined: topic(),
      greeted: topic(),
      awaitingReceipts: topic(),
      down: topic(),
      live: topic(),
    },
  };
}
