import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BUILT = fileURLToPath(new URL('../../../../apps/monitor/dist', import.meta.url));

/** The files of the page, and their types. The build gives them these names. */
const TYPES = {
  'monitor.js': 'text/javascript; charset=utf-8',
  'monitor.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

export interface Asset {
  type: string;
  body: Buffer;
}

/** Returns the files of the page by name, as they were when the process began; none where the page is not built. */
export function readPageAssets(folder = BUILT): ReadonlyMap<string, Asset> {
  try {
    return new Map(
      Object.entries(TYPES).map(([name, type]) => [name, { type, body: readFileSync(join(folder, name)) }]),
    );
  } catch {
    return new Map();
  }
}
