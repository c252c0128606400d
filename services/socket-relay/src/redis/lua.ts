import { readFileSync } from 'node:fs';

/** Where the scripts are, from `src` and from `dist`. They are no part of the build: the package has them as they are. */
const FOLDER = new URL('../../lua/', import.meta.url);

/** The scripts in `lua/`, one after the other, as one script. Their comments are for readers; Redis is not sent them. */
export function loadScript(...names: readonly string[]): string {
  const texts = names.map((name) => readFileSync(new URL(`${name}.lua`, FOLDER), 'utf8'));
  return texts.join('\n').replaceAll(/^\s*--.*\n/gm, '');
}
