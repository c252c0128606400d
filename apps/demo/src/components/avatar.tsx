import { initialsOf } from '../graphemes.ts';

const TONES = 6;

/** Shows initials on a colour that is always the same for the same id. It is decoration: the name stands next to it. */
export function Avatar({ id, name }: { id: string; name: string }) {
  return (
    <span className="avatar" data-tone={toneOf(id)} aria-hidden="true">
      {initialsOf(name)}
    </span>
  );
}

function toneOf(id: string): number {
  let hash = 1;
  for (const character of id) hash = (hash * 37 + (character.codePointAt(0) ?? 0)) % 9973;
  return hash % TONES;
}
