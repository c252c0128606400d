import { withDemo, withOneUrl, withoutPort, withUrls } from '../../../../scripts/processes.mjs';
import type { Variables } from '../command.ts';
import type { ServiceName } from './places.ts';

/** What `groupcast start` adds to its environment for each of the services. */
export function startVariables(given: Variables): Readonly<Record<ServiceName, Variables>> {
  const env = withUrls(withDemo(withOneUrl(given)));
  return { api: env, relay: withoutPort(env) };
}
