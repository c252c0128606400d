import { styleText } from 'node:util';
import type { TextSink, Variables } from './command.ts';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan';
export type Paint = (style: Style | Style[], text: string) => string;

/**
 * Colours for one stream: as `FORCE_COLOR` says where it is set, else none with a non-empty `NO_COLOR` or `TERM=dumb`,
 * else only on a terminal.
 */
export function createPaint(stream: TextSink, env: Variables): Paint {
  const forced = env['FORCE_COLOR'];
  const coloured =
    forced === undefined
      ? !env['NO_COLOR'] && env['TERM'] !== 'dumb' && stream.isTTY === true
      : forced !== '0' && forced !== 'false';
  return coloured ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text;
}

/** Text from elsewhere without control characters: it must not move the cursor or recolour the operator's terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\uFFFD');
}
