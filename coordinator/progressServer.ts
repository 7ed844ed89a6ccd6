/**
 * Tells over HTTP where a run stands: `GET /progress`, `GET /metrics` for Prometheus, and `GET /healthz`, which is answered while the main thread of
 * the process is.
 */
import type { Exposition } from '../trainer/tracking/registry.ts';
import { type PageServer, servePages } from '../trainer/tracking/servePages.ts';
import type { Progress } from './progress.ts';

/** @param listen `host:port`, 0 being any free port. @throws usage, conflict, notAllowed */
export const serveProgress = (listen: string, progress: () => Progress, metrics: Exposition): Promise<PageServer> =>
  servePages(listen, {
    flag: '--progress',
    pages: {
      '/progress': () => ({ type: 'application/json', body: `${JSON.stringify(progress())}\n` }),
      '/metrics': async () => ({ type: metrics.contentType, body: await metrics.text() }),
      '/healthz': () => ({ type: 'text/plain', body: 'ok\n' }),
    },
  });
