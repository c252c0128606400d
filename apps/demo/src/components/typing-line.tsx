import { displayName } from '../names.ts';

/** The others who type. It is always there, so that a screen reader notices when it changes. */
export function TypingLine({ typists }: { typists: readonly string[] }) {
  return (
    <p className="typing muted small" aria-live="polite" dir="auto">
      {textOf(typists.map(displayName))}
    </p>
  );
}

function textOf(names: readonly string[]): string {
  const [first, second] = names;
  if (first === undefined) return '';
  if (second === undefined) return `${first} is typing …`;
  return names.length === 2 ? `${first} and ${second} are typing …` : 'Several people are typing …';
}
