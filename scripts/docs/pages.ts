/** Longest line of a document, in characters. */
export const MAX_LINE = 120;

const OPEN = (name: string): string => `<!-- generated: ${name} (npm run docs) -->`;
const CLOSE = '<!-- /generated -->';

/** `page` with the lines between the marks of the block `name` replaced by `body`. Throws where the page has no such block. */
export function fill(page: string, name: string, body: string): string {
  const start = page.indexOf(OPEN(name));
  const end = page.indexOf(CLOSE, start);
  if (start === -1 || end === -1) throw new Error(`there is no block "${name}"`);
  return `${page.slice(0, start)}${OPEN(name)}\n${body}\n${page.slice(end)}`;
}

/** The anchor that GitHub gives a heading. */
export function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}

/** The headings of a page, without those in code. */
export function headingsOf(page: string): string[] {
  const text = page.replace(/^```[\s\S]*?^```$/gm, '');
  return Array.from(text.matchAll(/^#{1,6} (.+)$/gm), (match) => match[1] ?? '');
}

/** The anchor of the heading that names `name`: itself, or among others, separated by commas. */
export function anchorOf(page: string, name: string): string | undefined {
  const heading = headingsOf(page).find((text) => text.replace(/ †$/, '').split(', ').includes(name));
  return heading === undefined ? undefined : slugOf(heading);
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`.replaceAll('|  |', '| |');
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

/** Fills lines with words, up to the longest line that a document may have. A word is never divided. */
export function paragraph(words: readonly string[]): string {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > MAX_LINE) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join('\n');
}
