import type { DOCTOR_LIMITS } from '@groupcast/shared';

/** The same as in the schema of reports, which would bring a schema library to the page. */
export const MAX: typeof DOCTOR_LIMITS = {
  events: 200,
  changes: 50,
  groups: 500,
  missing: 50,
  nameLength: 64,
  codeLength: 64,
  messageLength: 200,
  urlLength: 300,
};
