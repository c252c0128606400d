import { CODE_LENGTH } from './limits.ts';

/** A code as the servers write it, or none: it must not be a text of somebody's. */
export function codeOf(value: unknown): string {
  return typeof value === 'string' && value.length <= CODE_LENGTH && /^[A-Z][A-Z0-9_]*$/.test(value)
    ? value
    : 'UNKNOWN';
}

export function cut(value: unknown, length: number): string | undefined {
  return typeof value === 'string' ? value.slice(0, length) : undefined;
}
