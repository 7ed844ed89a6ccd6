/**
 * Runs in processes of their own that a real Prometheus scrapes while they go on, beside whatever else is to be scraped.
 */
import type { Exposition } from '../../trainer/tracking/registry.ts';
import { serveMetrics } from '../../trainer/tracking/serveMetrics.ts';
import { type CliOptions, type Finished, segfleet } from './cli.ts';
import { type PrometheusServer, startPrometheus } from './prometheus.ts';
import { type S3Server, startS3Server } from './s3Server.ts';
import { setCredentials } from './versitygw.ts';

export interface WatchedRun {
  readonly file: string;
  readonly words: readonly string[];
  readonly onEvent?: (event: Readonly<Record<string, unknown>>) => void;
  readonly onStart?: CliOptions['onStart'];
}

export interface Watch extends AsyncDisposable {
  readonly prometheus: PrometheusServer;
  readonly store: S3Server;
  /** Scrapes `/metrics` of another process too, from now on. @param job its name for Prometheus */
  scrape(job: string, url: string): Promise<void>;
  /** The same of what this process serves. */
  serve(job: string, exposition: Exposition): Promise<void>;
  /** Trains, and is scraped until its end. */
  train(run: WatchedRun): Promise<Finished>;
}

/** @param interval between two looks */
export async function watchRuns(interval: string): Promise<Watch> {
  setCredentials();
  await using stack = new AsyncDisposableStack();
  const prometheus = stack.use(await startPrometheus(interval));
  const store = stack.use(await startS3Server());
  const targets: Record<string, string[]> = {};
  const scrape = (job: string, url: string) => {
    targets[job] = [...(targets[job] ?? []), new URL(url).host];
    return prometheus.scrape(targets);
  };
  const kept = stack.move();
  return {
    prometheus,
    store,
    scrape,
    async serve(job, exposition) {
      const { url, close } = await serveMetrics('0', exposition);
      kept.defer(close);
      await scrape(job, url);
    },
    async train({ file, words, onEvent, onStart }) {
      let scraping = Promise.resolve();
      const onLine = (line: string) => {
        const event = JSON.parse(line);
        if (event.event === 'metrics') scraping = scrape('runs', event.url);
        onEvent?.(event);
      };
      const env = { AWS_ENDPOINT_URL_S3: store.url };
      const ended = await segfleet(['train', file, ...words, '--metrics-port', '0', '--json'], { env, onLine, onStart });
      await scraping;
      return ended;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** What Grafana puts into an expression, for all values of what can be chosen. @param window of rates */
export const asGrafanaAsks = (expression: string, window: string): string =>
  expression
    .replaceAll('$__rate_interval', window)
    .replaceAll('$__range', '1h')
    .replaceAll('$metric', 'dice')
    .replace(/"\$[a-z]+"/g, '".*"');
