/**
 * Spans for OpenTelemetry: what took how long, told when it is over, and sent over OTLP/HTTP in the background. Nothing of its library is loaded unless
 * the environment names a collector; one that does not answer costs what is dropped, and nothing else.
 */
import type { Span, SpanOptions } from '@opentelemetry/api';
import { SegfleetError } from '../errors.ts';
import { httpUrl } from './httpUrl.ts';

export interface SpanRecord {
  readonly name: string;
  /** Milliseconds since 1970, and parts of them. */
  readonly start: number;
  readonly end: number;
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
  /** How it failed. */
  readonly error?: string;
  readonly children?: readonly SpanRecord[];
}

export interface Spans {
  record(span: SpanRecord): void;
  /** Sends what there is, for a short time. */
  close(): Promise<void>;
}

export interface SpansOptions {
  /** Called once, when the collector did not take what was sent. */
  readonly onProblem: (sentence: string) => void;
  /** With the names of OpenTelemetry. */
  readonly env?: NodeJS.ProcessEnv;
}

/** How long one request may be tried again and again, where the environment says nothing; and how long the last is waited for. */
const timeoutMillis = 2000;
const patienceMs = 3000;

/** Where they are to be sent. @returns undefined where nobody has asked for spans. @throws usage */
export function spansUrl(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const name = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'].find(one => env[one]);
  if (!name || env.OTEL_SDK_DISABLED === 'true' || env.OTEL_TRACES_EXPORTER === 'none') return undefined;
  const given = httpUrl(env[name]!);
  if (!given) {
    throw new SegfleetError('usage', `${name} ${env[name]}: an address such as http://127.0.0.1:4318 is expected; give one, or unset it`);
  }
  return name === 'OTEL_EXPORTER_OTLP_ENDPOINT' ? `${given.href.replace(/\/+$/, '')}/v1/traces` : given.href;
}

/** @returns undefined where nobody has asked for spans. @throws usage */
export async function openSpans({ onProblem, env = process.env }: SpansOptions): Promise<Spans | undefined> {
  const url = spansUrl(env);
  if (url === undefined) return undefined;
  const { ROOT_CONTEXT, SpanStatusCode, trace } = await import('@opentelemetry/api');
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
  const resources = await import('@opentelemetry/resources');
  const sdk = await import('@opentelemetry/sdk-trace');

  const { detectResources, resourceFromAttributes, resourceAttributesEnvDetector, serviceNameEnvDetector } = resources;
  const resource = resourceFromAttributes({ 'service.name': 'segfleet' }).merge(
    detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] }),
  );
  const exporter = new OTLPTraceExporter({ url, ...(!env.OTEL_EXPORTER_OTLP_TIMEOUT && { timeoutMillis }) });
  let hasWarned = false;
  const warn = (why: string) => {
    if (!hasWarned) onProblem(`the collector of traces at ${url} takes none (${why}): spans are lost, all else goes on`);
    hasWarned = true;
  };
  const telling: typeof exporter.export = (spans, done) =>
    exporter.export(spans, result => {
      if (result.error) warn(reasonOf(result.error));
      done(result);
    });
  const provider = new sdk.TracerProvider({
    resource,
    ...(isSampled(env) && { sampler: new sdk.TraceIdRatioBasedSampler(Number(env.OTEL_TRACES_SAMPLER_ARG ?? 1)) }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: { export: telling, shutdown: () => exporter.shutdown(), forceFlush: () => exporter.forceFlush() },
      }),
    ],
  });
  const tracer = provider.getTracer('segfleet');

  const record = ({ name, start, end, attributes, error, children = [] }: SpanRecord, parent?: Span): void => {
    const options: SpanOptions = { startTime: new Date(start), attributes };
    const span = tracer.startSpan(name, options, parent ? trace.setSpan(ROOT_CONTEXT, parent) : ROOT_CONTEXT);
    for (const child of children) record(child, span);
    if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    span.end(new Date(end));
  };
  return {
    record: span => record(span),
    close: async () => {
      let timer: NodeJS.Timeout | undefined;
      const waited = new Promise<void>(resolve => {
        timer = setTimeout(() => {
          warn('no answer in time');
          resolve();
        }, patienceMs);
      });
      await Promise.race([provider.shutdown().catch(() => {}), waited]);
      clearTimeout(timer);
    },
  };
}

/** Of a long run a share of the traces may do. */
const isSampled = ({ OTEL_TRACES_SAMPLER }: NodeJS.ProcessEnv): boolean => OTEL_TRACES_SAMPLER?.endsWith('traceidratio') ?? false;

const reasonOf = (error: Error): string => (error as NodeJS.ErrnoException).code ?? error.message;
