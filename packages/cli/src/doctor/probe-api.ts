import { NoReply, refusalIn, tryToAsk } from './ask.ts';
import { failed, ok, skipped } from './hops.ts';
import type { Probe } from './walk-state.ts';

/** Whether the API answers, and whether it says itself that it can work. What fails behind it is the next hop's. */
export const probeApi: Probe = async (walk) => {
  const { api, timeoutMs } = walk.patient;
  if (!api) return skipped('there is no API: API_URL is empty');
  const { url, assumed } = api;
  const reply = await tryToAsk(`${url}/readyz`, { timeoutMs });
  if (reply instanceof NoReply) {
    if (assumed && !reply.silent)
      return skipped(`nothing answers at ${url}, the default; give API_URL or --api-url where there is one`);
    return reply.silent
      ? failed(
          'API_SILENT',
          `the API at ${url} takes a connection and does not answer (${reply.message})`,
          'look at the process: it may be stopped (SIGCONT), or busy; restart it. Look at what is in between',
        )
      : failed(
          'API_UNREACHABLE',
          `nothing answers at ${url} (${reply.message})`,
          'start the API (npx groupcast api), or your own back end, or correct API_URL, API_PORT or --api-url; beside a relay alone set API_URL= (empty)',
        );
  }
  if (reply.aheadMs !== undefined) walk.clocks.set('the API', reply.aheadMs);
  const { status, failing, service } = (reply.json ?? {}) as { status?: unknown; failing?: unknown; service?: unknown };
  const fails = Array.isArray(failing) ? failing.map(String) : [];
  const known = status === 'ready' || status === 'degraded' || status === 'unready';
  if (service === 'socket-relay') {
    return failed(
      'WRONG_URL',
      `no API answers at ${url}: it is the public port of a relay`,
      'set API_URL to the API, whose port is 3000 by default',
    );
  }
  if (!known && reply.status === 404) {
    const why = refusalIn(reply)?.message;
    if (why !== undefined && /it is served at|the relay speaks/.test(why)) {
      return failed(
        'WRONG_URL',
        `no API answers at ${url}: ${why}`,
        'set API_URL to the API, whose port is 3000 by default',
      );
    }
    walk.apiAnswers = true;
    return ok(`${url} answers, and has no /readyz: a back end of your own`);
  }
  if (!known) {
    return failed(
      'WRONG_URL',
      `no API answers at ${url}/readyz: HTTP ${reply.status}`,
      'correct API_URL: it ends where /readyz and /api begin',
    );
  }
  walk.apiAnswers = true;
  walk.apiReady = reply;
  if (fails.includes('draining'))
    return failed('API_DRAINING', `the API at ${url} is stopping`, 'wait until it has been started again');
  return ok(fails.length > 0 ? `${url} answers; it is unready: ${fails.join(', ')}` : `${url} is ready`);
};
