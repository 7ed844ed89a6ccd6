/**
 * A real Prometheus that scrapes real processes, asked over its API.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Daemon } from './daemon.ts';
import { freePort } from './ports.ts';
import { until } from './programs.ts';
import { temporaryFolder } from './temporaryFolder.ts';
import { prometheus } from './tools.ts';

export interface Result {
  readonly labels: Readonly<Record<string, string>>;
  /** Seconds, and the value; one of an instant query. */
  readonly points: readonly (readonly [at: number, value: number])[];
}

/** In seconds. */
interface Range {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

/** One that runs somewhere. */
export class PrometheusApi {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  query(query: string, time: number): Promise<Result[]> {
    return this.#ask('query', { query, time });
  }

  queryRange(query: string, { from, to, step }: Range): Promise<Result[]> {
    return this.#ask('query_range', { query, start: from, end: to, step });
  }

  async #ask(path: string, parameters: Readonly<Record<string, string | number>>): Promise<Result[]> {
    const body = new URLSearchParams(Object.entries(parameters).map(([name, value]): [string, string] => [name, String(value)]));
    const answer = (await (await fetch(`${this.#url}/api/v1/${path}`, { method: 'POST', body })).json()) as Answer;
    if (answer.status !== 'success') throw new Error(`${answer.error}: ${parameters.query}`);
    return answer.data.result.map(({ metric, values, value }) => ({
      labels: metric,
      points: (values ?? [value!]).map(([at, text]) => [at, Number(text)] as const),
    }));
  }
}

export interface PrometheusServer extends AsyncDisposable, Pick<PrometheusApi, 'query' | 'queryRange'> {
  readonly url: string;
  /** Scrapes these from now on, each under the name of a job. */
  scrape(targets: Readonly<Record<string, readonly string[]>>): Promise<void>;
}

/** @param interval between two looks */
export async function startPrometheus(interval: string): Promise<PrometheusServer> {
  const folder = temporaryFolder('prometheus');
  const file = join(folder.path, 'prometheus.yml');
  const configure = (targets: Readonly<Record<string, readonly string[]>>) => {
    const jobs = Object.entries(targets).map(([job_name, urls]) => ({ job_name, static_configs: [{ targets: urls }] }));
    writeFileSync(file, stringify({ global: { scrape_interval: interval, scrape_timeout: interval }, scrape_configs: jobs }));
  };
  configure({});
  const address = `127.0.0.1:${await freePort()}`;
  const url = `http://${address}`;
  const daemon = new Daemon(
    [
      prometheus('prometheus'),
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder.path, 'data')}`,
      `--web.listen-address=${address}`,
      '--web.enable-lifecycle',
      // Only what was scraped within this is seen at a moment.
      '--query.lookback-delta=30s',
      '--log.level=warn',
    ],
    { log: join(folder.path, 'log') },
  );
  await until('Prometheus', async () => (await fetch(`${url}/-/ready`)).ok, [daemon]);

  const api = new PrometheusApi(url);
  return {
    url,
    async scrape(targets) {
      configure(targets);
      const { ok } = await fetch(`${url}/-/reload`, { method: 'POST' });
      if (!ok) throw new Error(`Prometheus refused its configuration: ${daemon.report()}`);
    },
    query: (expression, at) => api.query(expression, at),
    queryRange: (expression, range) => api.queryRange(expression, range),
    async [Symbol.asyncDispose]() {
      await daemon.end('SIGTERM');
      await folder[Symbol.asyncDispose]();
    },
  };
}

type Answer =
  | {
      readonly status: 'success';
      readonly data: {
        readonly result: readonly {
          readonly metric: Record<string, string>;
          readonly value?: readonly [number, string];
          readonly values?: readonly (readonly [number, string])[];
        }[];
      };
    }
  | { readonly status: 'error'; readonly error: string };
