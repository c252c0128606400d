import type { DoctorReport } from '@groupcast/shared';

const TIMEOUT_MS = 5_000;

/**
 * Asks for a polling handshake, as a stock client does. A browser hides why a connection failed, but a request without CORS is answered by
 * a relay that refuses the page's origin, and by nobody where there is none.
 */
export async function probeRelay(url: string): Promise<NonNullable<DoctorReport['probe']>> {
  const answers = (mode: RequestMode): Promise<boolean> =>
    fetch(`${url}?EIO=4&transport=polling`, {
      mode,
      cache: 'no-store',
      credentials: 'omit',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).then(
      () => true,
      () => false,
    );
  const readable = await answers('cors');
  return { reachable: readable || (await answers('no-cors')), readable };
}
