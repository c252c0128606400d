import { withDemo, withOneUrl, withoutPort, withUrls } from '../../../../scripts/processes.mjs';
import type { Variables } from '../command.ts';
import type { ServiceName } from './places.ts';

/** The environment of each service under `groupcast start`: its own, and where the services find each other. */
export function startVariables(given: Variables): Readonly<Record<ServiceName, Variables>> {
  const env = withUrls(withDemo(withOneUrl(given)));
  return { api: env, relay: withoutPort(env) };
}
