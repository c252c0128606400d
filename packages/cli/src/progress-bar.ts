import type { TextSink } from './command.ts';

export interface ProgressBar {
  /** A new task for the bar; drawn until the next one or `clear()`. `read` returns how much of 0..1 is done, and a text. */
  show(label: string, read: () => { done: number; text: string }): void;
  /** Leaves the line empty, and draws nothing any more. */
  clear(): void;
}

const REDRAW_MS = 100;
const WIDTH = 16;
const CLEAR_LINE = '\r\x1b[K';

/** One line that is redrawn ten times a second, independent of the event rate. Draws nothing where `stream` is not a terminal. */
export function createProgressBar(stream: TextSink, enabled: boolean): ProgressBar {
  let timer: NodeJS.Timeout | undefined;
  const visible = enabled && stream.isTTY === true;

  function clear(): void {
    if (!timer) return;
    clearInterval(timer);
    timer = undefined;
    stream.write(CLEAR_LINE);
  }

  return {
    show(label, read) {
      clear();
      if (!visible) return;
      const draw = (): void => {
        const { done, text } = read();
        const filled = Math.round(Math.min(Math.max(done, 0), 1) * WIDTH);
        const line = `${label.padEnd(10)} ${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)} ${text}`;
        stream.write(`${CLEAR_LINE}${line.slice(0, (stream.columns || 80) - 1)}`);
      };
      draw();
      timer = setInterval(draw, REDRAW_MS);
    },
    clear,
  };
}
