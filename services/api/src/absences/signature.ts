import { createHmac } from 'node:crypto';

/**
 * The headers of a webhook by the Standard Webhooks specification: a receiver that knows the secret can tell that it is ours, that nobody has changed
 * it and, by its id, that it came before. `seconds`: when it is sent, since 1970.
 */
export function signedHeaders(
  { id, seconds, body }: { id: string; seconds: number; body: string },
  secret: Buffer,
): Record<string, string> {
  const signature = createHmac('sha256', secret).update(`${id}.${seconds}.${body}`).digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,${signature}`,
  };
}
