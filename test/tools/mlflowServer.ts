/**
 * MLflow servers: a real one of PyPI, and one in memory that fails as told. The second takes less than the first: it holds to the documented limits and,
 * other than MLflow's SQL stores, keeps a value that comes twice twice. test/integration/mlflow.test.ts holds both to the same.
 */

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Metric, MlflowRunInfo, Pair } from '../../trainer/tracking/mlflowApi.ts';
import { Daemon } from './daemon.ts';
import { freePort } from './ports.ts';
import { until } from './programs.ts';

export interface Mlflow extends AsyncDisposable {
  readonly url: string;
}

export interface Seen {
  readonly method: string;
  /** Without the prefix of the API. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Record<string, never>;
}

/** Answers with this status, and does nothing; or does what was asked and closes the connection instead of answering. */
export type Fault = { readonly status: number; readonly body?: string } | 'lostAnswer';

export interface MemoryMlflow extends Mlflow {
  readonly requests: Seen[];
  fault: (seen: Seen) => Fault | undefined;
}

interface Run {
  info: MlflowRunInfo['info'] & { end_time?: number };
  readonly metrics: Metric[];
  readonly params: Map<string, string>;
  readonly tags: Map<string, string>;
}

class Refusal extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const listen = async (server: Server, port: number, host = '127.0.0.1'): Promise<string> => {
  server.listen(port, host);
  await once(server, 'listening');
  return `http://${host}:${(server.address() as AddressInfo).port}`;
};

const close = async (server: Server): Promise<void> => {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
};

export async function startMemoryMlflow({ host = '127.0.0.1', port = 0 } = {}): Promise<MemoryMlflow> {
  const experiments = new Map<string, string>();
  const runs = new Map<string, Run>();
  const requests: Seen[] = [];
  const run = (id: string): Run => {
    const found = runs.get(id);
    if (!found) throw new Refusal('RESOURCE_DOES_NOT_EXIST', `Run with id=${id} not found`, 404);
    return found;
  };
  const told = ({ info, metrics, params, tags }: Run) => {
    const last = Map.groupBy(metrics, ({ key }) => key);
    const pairs = (map: Map<string, string>) => [...map].map(([key, value]) => ({ key, value }));
    const latest = [...last.values()].map(of => of.reduce((a, b) => (b.step >= a.step ? b : a)));
    return { info, data: { metrics: latest, params: pairs(params), tags: pairs(tags) } };
  };
  const short = (what: string, text: string, length: number) => {
    if (text.length > length) throw new Refusal('INVALID_PARAMETER_VALUE', `${what} has more than ${length} characters`);
  };
  const calls: Record<string, (body: Record<string, never>) => unknown> = {
    'experiments/get-by-name': ({ experiment_name: name }) => {
      if (!experiments.has(name)) throw new Refusal('RESOURCE_DOES_NOT_EXIST', `Could not find experiment with name '${name}'`, 404);
      return { experiment: { experiment_id: experiments.get(name), name } };
    },
    'experiments/create': ({ name }) => {
      if (experiments.has(name)) throw new Refusal('RESOURCE_ALREADY_EXISTS', `Experiment '${name}' already exists.`);
      experiments.set(name, String(experiments.size + 1));
      return { experiment_id: experiments.get(name) };
    },
    'runs/create': ({ experiment_id, tags }) => {
      const run_id = randomUUID().replaceAll('-', '');
      const info = {
        run_id,
        experiment_id,
        status: 'RUNNING' as const,
        artifact_uri: `mlflow-artifacts:/${experiment_id}/${run_id}/artifacts`,
      };
      for (const { value } of tags as Pair[]) short('a tag', value, 5000);
      runs.set(run_id, { info, metrics: [], params: new Map(), tags: new Map((tags as Pair[]).map(({ key, value }) => [key, value])) });
      return { run: told(run(run_id)) };
    },
    'runs/get': ({ run_id }) => ({ run: told(run(run_id)) }),
    'runs/search': ({ experiment_ids, filter }) => {
      const [, key, value] = /^tags\."([^"]+)" = '([^']*)'$/.exec(filter)!;
      const found = [...runs.values()].filter(
        ({ info, tags }) => (experiment_ids as string[]).includes(info.experiment_id) && tags.get(key) === value,
      );
      return found.length > 0 ? { runs: found.map(told) } : {};
    },
    'runs/update': ({ run_id, status, end_time }) => {
      const found = run(run_id);
      found.info = { ...found.info, status, ...(end_time !== undefined && { end_time }) };
      return { run_info: found.info };
    },
    'runs/log-batch': body => {
      const {
        run_id,
        metrics = [],
        params = [],
        tags = [],
      } = body as unknown as Partial<Record<'params' | 'tags', Pair[]>> & {
        run_id: string;
        metrics?: Metric[];
      };
      if (metrics.length > 1000 || params.length > 100 || tags.length > 100) throw new Refusal('INVALID_PARAMETER_VALUE', 'too many');
      const found = run(run_id);
      for (const { key, value } of params) {
        short('a key', key, 250);
        short('a param', value, 6000);
        if ((found.params.get(key) ?? value) !== value)
          throw new Refusal('INVALID_PARAMETER_VALUE', `Changing param values is not allowed`);
      }
      for (const { key, value, timestamp, step } of metrics) {
        short('a key', key, 250);
        if (![value, timestamp, step].every(Number.isFinite) || !Number.isInteger(timestamp))
          throw new Refusal('INVALID_PARAMETER_VALUE', key);
      }
      for (const { key, value } of params) found.params.set(key, value);
      for (const { key, value } of tags) found.tags.set(key, value);
      found.metrics.push(...metrics);
      return {};
    },
    'metrics/get-history': ({ run_id, metric_key }) => ({ metrics: run(run_id).metrics.filter(({ key }) => key === metric_key) }),
  };
  const memory: MemoryMlflow = {
    url: '',
    requests,
    fault: () => undefined,
    [Symbol.asyncDispose]: () => close(server),
  };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url!, 'http://host');
    const text = (await buffer(request)).toString();
    const path = url.pathname.replace('/api/2.0/mlflow/', '');
    const isArtifact = path.startsWith('/api/2.0/mlflow-artifacts/');
    const body = request.method === 'POST' ? JSON.parse(text) : Object.fromEntries(url.searchParams);
    const seen: Seen = { method: request.method!, path, headers: request.headers, body };
    requests.push(seen);
    const fault = memory.fault(seen);
    const answer = (status: number, value: unknown) =>
      response.writeHead(status).end(typeof value === 'string' ? value : JSON.stringify(value));
    if (typeof fault === 'object') return answer(fault.status, fault.body ?? '');
    try {
      if (text.length > 2 ** 20 && !isArtifact) throw new Refusal('INVALID_PARAMETER_VALUE', 'more than 1 MB');
      const call = isArtifact ? () => ({}) : calls[path];
      if (!call) return answer(404, '<h1>Not Found</h1>');
      const value = call(body);
      if (fault === 'lostAnswer') return response.destroy();
      answer(200, value);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answer(error.status, { error_code: error.code, message: error.message });
    }
  });
  return Object.assign(memory, { url: await listen(server, port, host) });
}

/** @param program `mlflow` of an environment */
export async function startRealMlflow(program: string, folder: string): Promise<Mlflow> {
  mkdirSync(folder, { recursive: true });
  const url = `http://127.0.0.1:${await freePort()}`;
  const environment = ['MLFLOW_DISABLE_TELEMETRY=true', 'MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false', `HOME=${folder}`];
  const backend = ['--backend-store-uri', `sqlite:///${join(folder, 'mlflow.db')}`, '--artifacts-destination', join(folder, 'artifacts')];
  const listening = ['--host', '127.0.0.1', '--port', new URL(url).port, '--workers', '1'];
  const daemon = new Daemon(['env', ...environment, program, 'server', ...listening, ...backend], {
    log: join(folder, 'mlflow.log'),
    cwd: folder,
  });
  await until('MLflow', async () => (await fetch(`${url}/health`)).ok, [daemon]);
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      daemon.signal('SIGTERM');
      await daemon.ended;
    },
  };
}

/** Stands before a server at a port of its own. @param gone asked when the server has answered: whether that answer is not to be passed on */
export async function startDoor(port: number, target: string, gone: (path: string, body: string) => boolean): Promise<Mlflow> {
  const server = createServer(async (request, response) => {
    const bytes = await buffer(request);
    const answer = await fetch(`${target}${request.url}`, {
      method: request.method,
      headers: { 'Content-Type': request.headers['content-type'] ?? 'application/json' },
      ...(request.method !== 'GET' && { body: new Uint8Array(bytes) }),
    });
    const text = await answer.text();
    if (gone(request.url!, bytes.toString())) return response.destroy();
    response.writeHead(answer.status, { 'Content-Type': answer.headers.get('content-type') ?? 'text/plain' }).end(text);
  });
  return { url: await listen(server, port), [Symbol.asyncDispose]: () => close(server) };
}

/** All that a server has of a run, over its API. */
export async function readMlflow(url: string, runId: string): Promise<{ readonly run: MlflowRunInfo; readonly metrics: Metric[] }> {
  const ask = async (path: string, query: Record<string, string>) => {
    const answer = await fetch(`${url}/api/2.0/mlflow/${path}?${new URLSearchParams(query)}`);
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return (await answer.json()) as never;
  };
  const { run }: { run: MlflowRunInfo } = await ask('runs/get', { run_id: runId });
  const metrics: Metric[] = [];
  for (const { key } of run.data.metrics ?? []) {
    const { metrics: of }: { metrics: Metric[] } = await ask('metrics/get-history', { run_id: runId, metric_key: key });
    metrics.push(...of);
  }
  return { run, metrics };
}
