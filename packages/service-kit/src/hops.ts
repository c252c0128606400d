import { type Attributes, ROOT_CONTEXT, type SpanContext, SpanStatusCode, trace } from '@opentelemetry/api';

/** The steps of an event that are spans, each the parent of the next. */
export type HopName = 'groupcast.save' | 'groupcast.dispatch' | 'groupcast.accept' | 'groupcast.fan-out';

/** One step of an event, as a span that is recorded. */
export interface Hop {
  /** Names this span as the parent of the next one. */
  readonly traceparent: string;
  /** Is called once. With an error the span has failed. */
  end(attributes?: Attributes, error?: unknown): void;
}

const TRACER = '@groupcast';

/** `traceparent` is one that `parseTraceparent` has returned. */
function contextOf(traceparent: string): SpanContext {
  const [, traceId = '', spanId = '', flags = '00'] = traceparent.split('-');
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

/**
 * Begins a step of an operation that is traced; `undefined` where it is not: nobody has given a `traceparent`, it is not sampled, or spans are
 * not exported. `traceparent` is one that `parseTraceparent` has returned.
 */
export function beginHop(name: HopName, traceparent: string | undefined, attributes: Attributes = {}): Hop | undefined {
  if (traceparent === undefined) return undefined;
  const parent = trace.setSpanContext(ROOT_CONTEXT, contextOf(traceparent));
  const span = trace.getTracer(TRACER).startSpan(name, { attributes }, parent);
  if (!span.isRecording()) return undefined;
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
    end(more = {}, error) {
      span.setAttributes(more);
      if (error !== undefined) {
        const message = error instanceof Error ? { message: error.message } : {};
        span.setStatus({ code: SpanStatusCode.ERROR, ...message });
      }
      span.end();
    },
  };
}
