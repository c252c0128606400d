import type { Environment } from '@groupcast/service-kit';
import { TRACE_LIMITS } from '@groupcast/shared';

/** The webhook that is told who has not got a message. */
export interface AbsenceConfig {
  url: string;
  /** The key of its signature. */
  secret: Buffer;
  /** How long a message may take until somebody counts as absent, in milliseconds. */
  afterMs: number;
}

const PREFIX = 'whsec_';
/** Bounds of a key by the Standard Webhooks specification. */
const KEY_BYTES = { min: 24, max: 64 };
const DEFAULT_AFTER_MS = 5_000;

function keyOf(text: string): Buffer | undefined {
  const base64 = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : '';
  const key = Buffer.from(base64, 'base64');
  const isWhole = key.toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '');
  return isWhole && key.length >= KEY_BYTES.min && key.length <= KEY_BYTES.max ? key : undefined;
}

export function readAbsenceConfig(env: Environment): AbsenceConfig | undefined {
  const url = env.url('ABSENT_WEBHOOK_URL', ['http:', 'https:'], { carries: 'who has not got which message' });
  const text = env.secret('ABSENT_WEBHOOK_SECRET');
  const bounds = { min: TRACE_LIMITS.minWithinMs, max: TRACE_LIMITS.maxWithinMs };
  const afterMs = env.integer('ABSENT_AFTER_MS', DEFAULT_AFTER_MS, bounds);
  if (env.text('ABSENT_WEBHOOK_URL') === undefined) {
    if (text !== undefined)
      env.problem('ABSENT_WEBHOOK_SECRET must not be set without ABSENT_WEBHOOK_URL', 'VARIABLES_CONFLICT');
    return undefined;
  }
  const secret = text === undefined ? undefined : keyOf(text);
  if (secret === undefined) {
    const rule = `"${PREFIX}" and ${KEY_BYTES.min} to ${KEY_BYTES.max} bytes in base64`;
    const code = text === undefined ? 'VARIABLE_MISSING' : 'VARIABLE_INVALID';
    env.problem(`ABSENT_WEBHOOK_SECRET must be set with ABSENT_WEBHOOK_URL, and be ${rule}`, code);
  }
  if (url !== undefined && new URL(url).username + new URL(url).password !== '') {
    env.problem('ABSENT_WEBHOOK_URL must not hold a user name or password: the signature says who sends');
  }
  return url === undefined || secret === undefined ? undefined : { url, secret, afterMs };
}
