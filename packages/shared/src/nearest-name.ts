/** The words of other systems of this kind, and Groupcast's words for them. */
const SYNONYMS: Readonly<Record<string, string>> = {
  subscribe: 'join',
  enter: 'join',
  unsubscribe: 'leave',
  exit: 'leave',
  room: 'group',
  channel: 'group',
  conversation: 'group',
  chat: 'group',
  rejoin: 'resume',
  authenticate: 'refresh-token',
  login: 'refresh-token',
};
/** Part of a name that may differ, and the longest name that is compared. */
const MAX_DIFFERENCE = 0.4;
const MAX_LENGTH = 64;

/** `joinRoom`, `join_room` and `Join Room` are the words `join` and `room`. */
function plainWordsOf(name: string): string[] {
  return name
    .slice(0, MAX_LENGTH)
    .replace(/([a-z\d])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .split(/[^a-z\d]+/)
    .filter((word) => word !== '');
}

/** `joinRoom`, `join_room` and `Join Room` are the words `join` and `group`. */
function wordsOf(name: string): string[] {
  return plainWordsOf(name).map((word) => (Object.hasOwn(SYNONYMS, word) ? (SYNONYMS[word] as string) : word));
}

/** Counts the letters that have to be put in, taken out or replaced (Levenshtein). */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current[column] = Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1);
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

function difference(a: string, b: string): number {
  return distance(a, b) / Math.max(1, a.length, b.length);
}

/** Returns the nearest of `known`, by `differ`; the first of names that are equally near; `undefined` if none is near. */
function nearest(known: Iterable<string>, differ: (candidate: string) => number): string | undefined {
  let best: { name: string; by: number } | undefined;
  for (const name of known) {
    const by = differ(name);
    if (by <= MAX_DIFFERENCE && by < (best?.by ?? Number.POSITIVE_INFINITY)) best = { name, by };
  }
  return best?.name;
}

/** Returns the known event that is probably meant by `name`, whatever its case and separators, and with the words of other systems. */
export function nearestEvent(name: string, known: Iterable<string>): string | undefined {
  const words = wordsOf(name);
  const [first] = words;
  const text = words.join('-');
  if (first === undefined) return undefined;
  return nearest(known, (candidate) => {
    // The rest was left out: of several, the first is the usual one.
    if (candidate.startsWith(`${text}-`)) return 0;
    const by = difference(text, candidate);
    // The right first word counts for more than the letters that differ.
    return candidate.split('-')[0] === first ? Math.min(MAX_DIFFERENCE, by) : by;
  });
}

/** Returns the known text that is nearly `text`, letter by letter. */
export function nearestText(text: string, known: Iterable<string>): string | undefined {
  return nearest(known, (candidate) => difference(text.slice(0, MAX_LENGTH), candidate.slice(0, MAX_LENGTH)));
}

/**
 * Returns the known name that is surely meant by `name`: the same words with other separators, or two letters that differ at most. For
 * names that may well be right.
 */
export function misspelt(name: string, known: readonly string[]): string | undefined {
  if (name.length > MAX_LENGTH || known.includes(name)) return undefined;
  const text = plainWordsOf(name).join('-');
  const most = text.length < 8 ? 1 : 2;
  return known.find((candidate) => distance(text, plainWordsOf(candidate).join('-')) <= most);
}
