import { ERROR_CODES } from '../../packages/shared/src/index.ts';
import { anchorOf, table } from './pages.ts';

/** Every code with its status, where each leads to its heading in `page`. */
export function errorCodesTable(page: string): string {
  const rows = Object.entries(ERROR_CODES).map(([name, { status, retryable }]) => [
    `[\`${name}\`](#${anchorOf(page, name)})`,
    String(status),
    retryable ? 'yes' : 'no',
  ]);
  return table(['code', 'HTTP', '`retryable`'], rows);
}
