import { DiagLogLevel, diag, trace } from '@opentelemetry/api';
import type { Environment } from './environment.ts';
import type { Logger } from './logger.ts';
import { warnOnceEvery } from './warn-once-every.ts';
import { within } from './within.ts';

/** Part of a service's configuration. */
export interface TracingConfig {
  /** The address of an OTLP collector, to which spans are sent over HTTP. Without it there are no spans, and nothing is loaded for them. */
  otlpUrl: string | undefined;
}

/** How long the spans that have not been sent yet may take at the end, in milliseconds. */
const FLUSH_MS = 2_000;

export function readTracingConfig(env: Environment): TracingConfig {
  return {
    otlpUrl: env.serviceUrl('OTEL_EXPORTER_OTLP_ENDPOINT', { carries: 'spans with ids of groups and messages' }),
  };
}

/** Sends the spans of this process to the collector from now on. Returns how that is stopped; the spans that wait are sent first. */
async function startTracing(
  { otlpUrl }: TracingConfig,
  { service, log }: { service: string; log: Logger },
): Promise<() => Promise<void>> {
  if (otlpUrl === undefined) return async () => undefined;
  // Loaded by a process that traces, and by no other one.
  const sdk = await import('./tracing-sdk.ts');
  const warn = warnOnceEvery(60_000);
  const say = (reason: string): void =>
    warn('spans', (suppressed) => log.warn({ reason, suppressed, otlpUrl }, 'unable to send spans to the collector'));
  const ignore = (): void => undefined;
  diag.setLogger({ error: say, warn: say, info: ignore, debug: ignore, verbose: ignore }, DiagLogLevel.WARN);
  const named = sdk.resourceFromAttributes({ 'service.name': `groupcast-${service}` });
  const provider = new sdk.NodeTracerProvider({
    // The standard variables win: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES.
    resource: named.merge(sdk.detectResources({ detectors: [sdk.envDetector] })),
    spanProcessors: [new sdk.BatchSpanProcessor(new sdk.OTLPTraceExporter({ url: `${otlpUrl}/v1/traces` }))],
  });
  // Nothing else of the SDK is needed: each step names its parent itself.
  trace.setGlobalTracerProvider(provider);
  log.info({ otlpUrl }, 'sending spans of traced requests');
  return async () => {
    await within(FLUSH_MS, provider.shutdown(), 'the collector to take the last spans').catch((error: unknown) =>
      log.warn({ err: error }, 'unable to send the last spans'),
    );
  };
}

/** Starts a service, with tracing from before it starts until after it has stopped. */
export async function startTraced<Running extends { close(): Promise<void> }>(
  config: TracingConfig,
  options: { service: string; log: Logger },
  start: () => Promise<Running>,
): Promise<Running> {
  const stopTracing = await startTracing(config, options);
  try {
    const running = await start();
    return {
      ...running,
      async close() {
        await running.close();
        await stopTracing();
      },
    };
  } catch (error) {
    await stopTracing();
    throw error;
  }
}
