/**
 * `GET /metrics` of this process, for Prometheus.
 */
import type { Exposition } from './registry.ts';
import { type PageServer, servePages } from './servePages.ts';

/** @param port of this machine alone; or `host:port`. 0 is any free port. @throws usage, conflict, notAllowed */
export const serveMetrics = (port: string, metrics: Exposition): Promise<PageServer> =>
  servePages(/^\d+$/.test(port) ? `127.0.0.1:${port}` : port, {
    flag: '--metrics-port',
    pages: { '/metrics': async () => ({ type: metrics.contentType, body: await metrics.text() }) },
  });
