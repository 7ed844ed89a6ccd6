/**
 * A collector of traces: takes OTLP over HTTP as JSON, and checks what the protocol asks for.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface CollectedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  /** Milliseconds since 1970. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** Of whoever sent it. */
  readonly resource: Readonly<Record<string, string | number>>;
  readonly error?: string;
}

export interface Collector extends AsyncDisposable {
  readonly url: string;
  readonly spans: CollectedSpan[];
  /** Of requests that were not as the protocol asks. */
  readonly faults: string[];
}

type Value = {
  readonly stringValue?: string;
  readonly intValue?: number | string;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
};
type Attributes = readonly { readonly key: string; readonly value: Value }[];

const valuesOf = (attributes: Attributes = []): Record<string, string | number> =>
  Object.fromEntries(
    attributes.map(({ key, value: { stringValue, intValue, doubleValue, boolValue } }) => [
      key,
      stringValue ?? (intValue === undefined ? (doubleValue ?? String(boolValue)) : Number(intValue)),
    ]),
  );

export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const faults: string[] = [];
  const ids = new Set<string>();
  const server = createServer(async (request, response) => {
    const fault = (what: string) => void faults.push(`${request.method} ${request.url}: ${what}`);
    const text = (await buffer(request)).toString();
    if (request.method !== 'POST' || request.url !== '/v1/traces') fault('only POST /v1/traces is known');
    if (request.headers['content-type'] !== 'application/json') fault(`content is ${request.headers['content-type']}`);
    for (const { resource, scopeSpans } of JSON.parse(text).resourceSpans) {
      for (const span of scopeSpans.flatMap((scope: { spans: unknown[] }) => scope.spans)) {
        const { name, traceId, spanId, parentSpanId, startTimeUnixNano, endTimeUnixNano, attributes, status } = span;
        if (!/^[0-9a-f]{32}$/.test(traceId) || !/^[0-9a-f]{16}$/.test(spanId) || ids.has(spanId)) fault(`ids ${traceId} ${spanId}`);
        ids.add(spanId);
        if (!/^\d{19}$/.test(startTimeUnixNano) || BigInt(endTimeUnixNano) < BigInt(startTimeUnixNano)) fault(`times of ${name}`);
        const [start, end] = [startTimeUnixNano, endTimeUnixNano].map(time => Number(BigInt(time) / 1000n) / 1000);
        const error = status?.code === 2 ? { error: status.message } : {};
        spans.push({
          ...{ name, traceId, spanId, start, end, attributes: valuesOf(attributes), resource: valuesOf(resource.attributes) },
          ...(parentSpanId && { parentSpanId }),
          ...error,
        });
      }
    }
    response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ spans, faults },
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
