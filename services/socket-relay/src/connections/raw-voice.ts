import type { IncomingMessage } from 'node:http';
import { type Dialect, isDoorCommand, nativeDialect } from '@groupcast/dialects';
import { GroupcastError } from '@groupcast/shared';
import type { DialectConfig } from '../dialect-config.ts';
import type { RawVoice } from '../engine/raw-frames.ts';
import { chooseDialect } from './choose-dialect.ts';

/** A request that Engine.IO has prepared. */
export interface AskingRequest extends Pick<IncomingMessage, 'headers'> {
  _query: Readonly<Record<string, string>>;
}

/** The door carries out `auth` and `ping` itself, and there is nothing of the kind elsewhere. */
export function onlyOfRawDoor(event: string): GroupcastError {
  const why = 'it is for the raw WebSocket, over Socket.IO there is no such event';
  return new GroupcastError('UNKNOWN_EVENT', `unable to accept "${event.slice(0, 64)}"; ${why}`);
}

function voiceIn(dialect: Dialect): RawVoice {
  return {
    incoming(type, fields) {
      const heard = dialect.hear(type, [fields]);
      if (!heard || !isDoorCommand(heard.command)) return { type, fields };
      return { type: heard.command, fields: (heard.payload ?? {}) as Readonly<Record<string, unknown>> };
    },
    outgoing(name, payload) {
      const sayings = dialect.say(name, payload, 'not-viewing') ?? [{ name, payload }];
      return sayings.map((said) => [said.name, said.payload] as const);
    },
  };
}

/**
 * How the raw door names its own frames: by the dialect of the connection. One that asks for a dialect that is not allowed is refused by the
 * check-in, in the native one. Both read the query as Engine.IO has parsed it.
 */
export function createRawVoices(dialects: DialectConfig): (request: AskingRequest) => RawVoice {
  return ({ _query: query, headers }) => {
    try {
      return voiceIn(chooseDialect(dialects, { query, headers }) ?? nativeDialect());
    } catch {
      return voiceIn(nativeDialect());
    }
  };
}
