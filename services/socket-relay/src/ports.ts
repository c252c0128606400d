import { type HttpApp, type Listening, listenOn, type StopStack } from '@groupcast/service-kit';
import type { RelayConfig } from './config.ts';
import type { Drain } from './drain/drain.ts';
import type { WorkerContext } from './ipc/worker-context.ts';
import type { PublicServer } from './public-server.ts';

/** The parts of a relay that have been started. */
export interface Started {
  /** In order: the cluster, the servers, the ports, the connections. The last is stopped first. */
  stops: StopStack;
  /** Parts that work for connections. They are stopped when the connections are gone, and before the ports are closed. */
  parts: StopStack;
}

/** Parts stop in this order, from the last line to the first. Polling clients need the port until they are told to go. */
export function stopPorts(
  { stops, parts }: Started,
  built: { internal: HttpApp; publicServer: PublicServer; drain: Drain; worker: WorkerContext | undefined },
): Listening[] {
  const { internal, publicServer, drain, worker } = built;
  const listening: Listening[] = [];
  stops.push(async () => internal.close());
  stops.push(async () => publicServer.close());
  stops.push(async () => publicServer.closeRouter());
  stops.push(() => {
    for (const each of listening) each.close();
  });
  stops.push(async () => parts.stop());
  stops.push(async () => worker?.allDrained());
  stops.push(async () => drain.finish());
  return listening;
}

/** Opens both ports. The first one is in `listening` even if the second one is taken. */
export async function openPorts(
  publicServer: PublicServer,
  internal: HttpApp,
  { config, listening }: { config: RelayConfig; listening: Listening[] },
): Promise<{ port: number; internalPort: number }> {
  const opened = await publicServer.listen();
  listening.push(opened);
  await internal.ready();
  const at = { host: config.internalHost, port: config.internalPort };
  const openedInternal = await listenOn(internal.server, at, async (where) => internal.listen(where));
  listening.push(openedInternal);
  return { port: opened.port, internalPort: openedInternal.port };
}
