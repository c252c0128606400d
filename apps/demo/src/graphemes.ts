const segmenter =
  typeof Intl.Segmenter === 'function' ? new Intl.Segmenter(undefined, { granularity: 'grapheme' }) : null;

/** The first character as a reader counts it: a letter with its accents, an emoji of seven code points, a flag. */
function firstGrapheme(text: string): string {
  if (!segmenter) return Array.from(text)[0] ?? '';
  for (const { segment } of segmenter.segment(text)) return segment;
  return '';
}

/** The word with its first letter in upper case; a letter that has none stays as it is. */
export function capitalised(word: string): string {
  const first = firstGrapheme(word);
  return first.toLocaleUpperCase() + word.slice(first.length);
}

/** The first characters of the first two words. */
export function initialsOf(name: string): string {
  const words = name.split(/\s+/).filter((word) => word !== '');
  return words
    .slice(0, 2)
    .map((word) => firstGrapheme(word).toLocaleUpperCase())
    .join('');
}
