/** A piece of a message: plain text, or text that leads somewhere. */
export type Piece = string | { href: string; text: string /** Where in the message it begins. */; at: number };

/** Only text that begins with `http:` or `https:` is a link: `javascript:` and its like never are. */
const CANDIDATE = /\bhttps?:\/\/[^\s<>"]+/giu;
/** Longest address of a link, in characters; longer ones are shown as text. */
const MAX_LENGTH = 2_048;
/** Most links of a message; the others are shown as text. */
const MAX_LINKS = 100;
const CLOSING: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };
const OPENING = new Set(Object.values(CLOSING));
const SENTENCE_END = new Set(".,:;!?'’”»*_~");

/** Cuts a message at its links. All pieces together are the message. */
export function piecesOf(content: string): Piece[] {
  const pieces: Piece[] = [];
  let shown = 0;
  let links = 0;
  for (const match of content.matchAll(CANDIDATE)) {
    if (links >= MAX_LINKS) break;
    const text = withoutPunctuation(match[0]);
    const href = addressOf(text);
    if (href === undefined) continue;
    links += 1;
    if (match.index > shown) pieces.push(content.slice(shown, match.index));
    pieces.push({ href, text, at: match.index });
    shown = match.index + text.length;
  }
  if (shown < content.length) pieces.push(content.slice(shown));
  return pieces;
}

/**
 * Cuts off the end of a sentence, and a bracket that was opened before the address. The text comes from another user: every character is
 * looked at twice at most.
 */
function withoutPunctuation(candidate: string): string {
  /** How many more brackets of each kind are closed than opened. */
  const excess: Record<string, number> = {};
  for (const character of candidate) {
    const opening = CLOSING[character];
    if (opening !== undefined) excess[opening] = (excess[opening] ?? 0) + 1;
    else if (OPENING.has(character)) excess[character] = (excess[character] ?? 0) - 1;
  }
  let end = candidate.length;
  for (; end > 0; end -= 1) {
    const last = candidate.charAt(end - 1);
    const opening = CLOSING[last];
    const closed = opening === undefined ? 0 : (excess[opening] ?? 0);
    if (closed <= 0 && !SENTENCE_END.has(last)) break;
    if (opening !== undefined) excess[opening] = closed - 1;
  }
  return candidate.slice(0, end);
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
