import { createHash } from 'node:crypto';
import type { Statement } from './postgres-connection.ts';
import type { Session } from './session-settings.ts';

/** SQLSTATE: there is no prepared statement of that name in this session, or there is one already. */
const OF_ANOTHER_SESSION: ReadonlySet<string> = new Set(['26000', '42P05']);

/**
 * Statements with parameters get the name under which each connection prepares them once. The name says what is in it, so that
 * another process that has prepared a statement of that name in the same session has prepared the same one. The code has a bounded number of texts.
 */
export interface StatementNames {
  statement(session: Session, text: string, params: readonly unknown[]): Statement;
  /** Whether it failed because a pooler gives each transaction another session; from now on there are no names then. */
  lose(code: string): boolean;
}

/** `enabled`: undefined where that depends on whether a pooler is in between. */
export function createStatementNames(enabled: boolean | undefined, onLost: () => void): StatementNames {
  const names = new Map<string, string>();
  let lost = false;

  function nameOf(text: string): string {
    const known = names.get(text);
    if (known !== undefined) return known;
    const name = `groupcast-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
    names.set(text, name);
    return name;
  }

  return {
    statement({ isPooled }, text, params) {
      if (params.length === 0) return { text };
      const values = [...params];
      return lost || !(enabled ?? !isPooled) ? { text, values } : { text, values, name: nameOf(text) };
    },
    lose(code) {
      if (!OF_ANOTHER_SESSION.has(code)) return false;
      if (!lost) onLost();
      lost = true;
      return true;
    },
  };
}
