import { readFileSync, statSync } from 'node:fs';
import { boundIssues, type DoctorReport, doctorReportSchema } from '@groupcast/shared';
import { UsageError } from '../command.ts';
import { printable } from '../terminal.ts';

/** Largest report that is read, in bytes: ten times as large as the doctor makes one. */
const MAX_BYTES = 4_000_000;

function readText(file: string): string {
  try {
    const stats = statSync(file);
    if (!stats.isFile()) throw new Error('it is no file');
    if (stats.size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`unable to read ${printable(file)}; ${printable((error as Error).message)}`);
  }
}

/** Reads a report of the doctor in the page. Throws a `UsageError` that names what is wrong with it. */
export function readReport(file: string): DoctorReport {
  let value: unknown;
  try {
    value = JSON.parse(readText(file));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${printable(file)} is no JSON; save what "Copy report" has copied, and nothing else`);
  }
  const parsed = doctorReportSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { issues, issueCount } = boundIssues(
    parsed.error.issues,
    ({ path }) => path.join('.'),
    ({ message }) => message,
  );
  const faults = issues.map(({ path, message }) => `${printable(path) || 'it'}: ${printable(message)}`).join('; ');
  const more = issueCount > issues.length ? `; and ${issueCount - issues.length} more` : '';
  throw new UsageError(`${printable(file)} is no report of version 1: ${faults}${more}`);
}
