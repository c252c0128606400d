/** A piece of a message: plain text, or text that leads somewhere. */
export type Piece = string | { href: string; text: string /** Where in the message it begins. */; at: number };

/** Only what begins with its scheme is a link: `javascript:` and its like never are. */
const CANDIDATE = /\bhttps?:\/\/[^\s<>"]+/giu;
/** Longer addresses are shown as text, in characters. */
const MAX_LENGTH = 2_048;
/** Messages with more links than this show the rest of them as text. */
const MAX_LINKS = 100;
const CLOSING: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };

/** Cuts a message at its links. All pieces together are the message. */
export function piecesOf(content: string): Piece[] {
  const pieces: Piece[] = [];
  let shown = 0;
  let links = 0;
  for (const match of content.matchAll(CANDIDATE)) {
    const text = withoutPunctuation(match[0]);
    const href = addressOf(text);
    if (href === undefined || links >= MAX_LINKS) continue;
    links += 1;
    if (match.index > shown) pieces.push(content.slice(shown, match.index));
    pieces.push({ href, text, at: match.index });
    shown = match.index + text.length;
  }
  if (shown < content.length) pieces.push(content.slice(shown));
  return pieces;
}

/** What ends a sentence does not belong to the address, nor does a bracket that was opened before it. */
function withoutPunctuation(candidate: string): string {
  let text = candidate;
  for (;;) {
    const last = text.at(-1) ?? '';
    const opening = CLOSING[last];
    const isOutside = opening !== undefined && countOf(text, opening) < countOf(text, last);
    if (!isOutside && !/[.,:;!?'’”»*_~]/u.test(last)) return text;
    text = text.slice(0, -1);
  }
}

function countOf(text: string, character: string): number {
  return text.split(character).length - 1;
}

function addressOf(text: string): string | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  try {
    const { protocol, username, password, href } = new URL(text);
    // `https://bank.example@evil.example` shows one host and leads to another.
    const isPlain = (protocol === 'https:' || protocol === 'http:') && username === '' && password === '';
    return isPlain ? href : undefined;
  } catch {
    return undefined;
  }
}
