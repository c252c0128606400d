import type { IncomingMessage } from 'node:http';
import { type Dialect, nativeDialect } from '@groupcast/dialects';
import type { DialectConfig } from '../dialect-config.ts';
import type { RawVoice } from '../engine/raw-frames.ts';
import { chooseDialect } from './choose-dialect.ts';

/** Commands that the door itself carries out. */
const OWN_COMMANDS: ReadonlySet<string> = new Set(['auth', 'ping']);

function voiceIn(dialect: Dialect): RawVoice {
  return {
    incoming(type, fields) {
      const heard = dialect.hear(type, [fields]);
      if (!heard || !OWN_COMMANDS.has(heard.command)) return { type, fields };
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
 * check-in, in the native one.
 */
export function createRawVoices(dialects: DialectConfig): (request: IncomingMessage) => RawVoice {
  return (request) => {
    const query = Object.fromEntries(new URLSearchParams((request.url ?? '').split('?')[1] ?? ''));
    try {
      return voiceIn(chooseDialect(dialects, { query, headers: request.headers }) ?? nativeDialect());
    } catch {
      return voiceIn(nativeDialect());
    }
  };
}
