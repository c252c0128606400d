import { initialsOf } from '../graphemes.ts';

const TONES = 6;

/**
 * Shows initials on a colour that is always the same for the same id, and a dot for a user who is online. It is decoration: the name
 * stands next to it, and the list of members says who is online.
 */
export function Avatar({ id, name, online = false }: { id: string; name: string; online?: boolean }) {
  return (
    <span className="avatar" data-tone={toneOf(id)} data-online={online || undefined} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
}

function toneOf(id: string): number {
  let hash = 1;
  for (const character of id) hash = (hash * 37 + (character.codePointAt(0) ?? 0)) % 9973;
  return hash % TONES;
}
