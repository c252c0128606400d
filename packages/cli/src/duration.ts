const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/;

/** `1h`, `30m`, `10s`, `500ms`, `2d`, or a bare number of seconds, in whole milliseconds; `undefined` for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = PATTERN.exec(text.trim());
  if (!match) return undefined;
  const unit = (match[2] ?? 's') as keyof typeof UNITS;
  return Math.round(Number(match[1]) * UNITS[unit]);
}

/** The shortest exact spelling: `90s`, `10m`, `1h`. */
export function formatDuration(milliseconds: number): string {
  const unit = (['d', 'h', 'm', 's'] as const).find(
    (name) => milliseconds >= UNITS[name] && milliseconds % UNITS[name] === 0,
  );
  return unit ? `${milliseconds / UNITS[unit]}${unit}` : `${milliseconds}ms`;
}
