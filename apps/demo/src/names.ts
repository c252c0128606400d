import { capitalised } from './graphemes.ts';

/** Demo accounts have no profile: everything shown about a person comes from the name in `demo:<name>`. */
const PREFIX = 'demo:';
const SAMPLE_NAMES = ['alice', 'bob', 'carol'];

/** "Alice", " alice " and "ALICE" are one account. */
export function accountName(typed: string): string {
  return typed.trim().toLowerCase().replaceAll(/\s+/g, ' ');
}

/** The id that the demo login gives to `typed`: ids are printable ASCII without spaces, and names need not be. */
export function userIdFor(typed: string): string {
  return PREFIX + encodeURIComponent(accountName(typed));
}

/** `demo:zo%C3%AB%20b` → "Zoë B". An id that is not from the demo is shown as it is. */
export function displayName(userId: string): string {
  if (!userId.startsWith(PREFIX)) return userId;
  return decoded(userId.slice(PREFIX.length)).split(' ').map(capitalised).join(' ');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Reads account names out of "Bob, carol ;dave": commas or semicolons separate them, and doubles are dropped. */
export function parseNames(typed: string): string[] {
  return [...new Set(typed.split(/[,;]/).map(accountName))].filter((name) => name !== '');
}

/** The name of another user, for a second window. */
export function someoneElse(userId: string): string {
  return SAMPLE_NAMES.find((name) => PREFIX + name !== userId) ?? 'alice';
}

export function groupName({ name, kind }: { name: string | null; kind: 'group' | 'direct' }): string {
  return name ?? (kind === 'direct' ? 'Direct messages' : 'Unnamed group');
}
