import { readFileSync } from 'node:fs';

/** Where the system does not say how many descriptors a process may have. */
const UNKNOWN_LIMIT = 1_024;
/** Descriptors kept for what is no client: databases, Redis, the other service, files, and the internal port. */
const MIN_RESERVE = 128;
const MAX_RESERVE = 1_024;
/** A larger limit needs a larger reserve: a process that serves more connections opens more to other services at once. */
const RESERVED_PART = 1 / 8;

/** Bounds of `MAX_CONNECTIONS`. Its default is the highest: the descriptors decide. */
export const MAX_CONNECTIONS = { min: 10, max: 1_000_000 };

/** How many descriptors this process may have open: RLIMIT_NOFILE, which Node raises to the hard limit when it starts. */
function descriptorLimit(): number {
  try {
    const [, soft] = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === 'unlimited' ? MAX_CONNECTIONS.max : Number(soft) || UNKNOWN_LIMIT;
  } catch {
    return UNKNOWN_LIMIT;
  }
}

export interface ConnectionBudget {
  /** Connections of the port that everybody reaches. */
  public: number;
  /** Connections of the internal port; they come out of the reserve, so that a full public port does not close it. */
  internal: number;
}

/** What of the descriptors connections may have; `files` are kept beside the reserve. `configured` can only lower it. */
export function connectionBudget(
  configured: number,
  { files = 0, descriptors = descriptorLimit() }: { files?: number; descriptors?: number } = {},
): ConnectionBudget {
  const part = Math.floor(descriptors * RESERVED_PART);
  const wanted = Math.max(MIN_RESERVE, Math.min(MAX_RESERVE, part)) + files;
  const reserve = Math.min(wanted, Math.floor(descriptors / 2));
  return { public: Math.min(configured, descriptors - reserve), internal: Math.max(1, Math.floor(reserve / 2)) };
}
