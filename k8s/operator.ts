/**
 * The operator as a process: caches, election and controller, and the port at which others see how it is. Nothing that the API server does ends it; a
 * signal does, after what it is at.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SegfleetError } from '../trainer/errors.ts';
import { hasCredentials, httpUrl } from '../trainer/tracking/httpUrl.ts';
import { openSpans } from '../trainer/tracking/spans.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import { Controller, type ControllerOptions, type ControllerTimes } from './controller.ts';
import { Election, type ElectionOptions, type LeaseTimes } from './lease.ts';
import { errorFields } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { labels } from './names.ts';
import type { Settings, TrackerSettings } from './plan.ts';

export interface OperatorOptions
  extends Pick<ControllerOptions, 'api' | 'namespaces' | 'settings' | 'reconcile' | 'makeKeys' | 'identity' | 'log'>,
    Pick<ElectionOptions, 'lease'> {
  readonly listen: Address;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly times?: ControllerTimes & { readonly lease?: LeaseTimes };
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, an IPv6 address in brackets. @throws usage */
export function parseAddress(text: string): Address {
  const [, bracketed, plain, port] = /^(?:\[([\da-f:.]+)\]|([^:[\]/]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535)
    throw new SegfleetError('usage', `--listen ${text}: host:port is expected, such as 0.0.0.0:8081`);
  return { host, port: Number(port) };
}

/** `namespace/name`. @throws usage */
export function parseLease(text: string): ElectionOptions['lease'] {
  const [, namespace, name] = /^([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\/([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)$/.exec(text) ?? [];
  if (namespace === undefined || name === undefined)
    throw new SegfleetError('usage', `--lease ${text}: namespace/name is expected, such as segfleet/segfleet-operator`);
  return { namespace, name };
}

/** @throws usage */
export function parseStore(text: string): string {
  if (!/^s3:\/\/[^/\s]+(\/\S*)?$/.test(text)) throw new SegfleetError('usage', `--store ${text}: s3://bucket/prefix is expected`);
  return text;
}

/** @throws usage: an address is none, or holds what others should not read */
export function parseTrackers(given: TrackerSettings): TrackerSettings {
  for (const [flag, address] of Object.entries({ '--mlflow': given.mlflow, '--traces': given.traces })) {
    if (address === undefined) continue;
    const url = httpUrl(address);
    if (!url) {
      throw new SegfleetError('usage', `${flag} ${address}: an address such as http://mlflow.tools.svc:5000 is expected`);
    }
    if (hasCredentials(url)) {
      throw new SegfleetError(
        'usage',
        `${flag}: the address holds a name or a password, which all who see pods can read; use --mlflow-secret`,
      );
    }
  }
  return given;
}

/** Who may ask coordinators: operators, all of those in the namespace of this one, and whoever collects metrics. */
export const clientsOf = (ownNamespace: string | undefined, prometheusNamespace: string | undefined): Settings['clients'] => [
  ...(ownNamespace === undefined ? [] : [{ namespace: ownNamespace, labels: { [labels.app]: 'segfleet', [labels.role]: 'operator' } }]),
  ...(prometheusNamespace === undefined ? [] : [{ namespace: prometheusNamespace, labels: {} }]),
];

/** What is under way when it is told to end has so long; pods are killed after 30 s. */
const graceMs = 20_000;

/** @throws usage, conflict, notAllowed: it cannot listen there */
export async function runOperator(options: OperatorOptions): Promise<void> {
  const { api, lease, identity, log, signal, times } = options;
  const clock = systemClock;
  const metrics = createMetrics();
  const spans = await openSpans({ onProblem: problem => log('warn', problem) });
  const election: Election = new Election({
    api,
    lease,
    identity,
    clock,
    random: Math.random,
    ...(times?.lease && { times: times.lease }),
    onChange: leading => {
      log('info', leading ? 'this operator leads' : 'this operator does not lead any more', { lease: `${lease.namespace}/${lease.name}` });
      term.set(leading);
    },
    onError: error => log('warn', 'the lease could not be read or renewed', errorFields(error)),
  });
  const controller = new Controller({
    ...options,
    check: () => election.check(),
    clock,
    random: Math.random,
    metrics,
    trace: spans?.record,
  });
  const term = new Term(stop => controller.lead(stop));
  const server = await serve(options.listen, { election, controller, metrics, requests: () => api.requests });
  const { address, port } = server.address() as AddressInfo;
  log('info', 'the operator has started', { identity, namespaces: options.namespaces ?? 'all', server: api.server, address, port });

  const stopCaches = new AbortController();
  const stopElection = new AbortController();
  const caching = controller.run(stopCaches.signal);
  const stopped = new Promise<void>(resolve => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  // One that cannot see the cluster must not keep another from acting.
  await Promise.race([controller.synced(), stopped]);
  if (!signal.aborted) log('info', 'all caches are filled');
  const contending = signal.aborted ? Promise.resolve() : election.run(stopElection.signal);
  await stopped;

  log('info', 'the operator ends');
  const finished = await isDoneWithin(clock, graceMs, term.end());
  stopElection.abort();
  await contending;
  if (finished) await election.release();
  stopCaches.abort();
  await caching;
  await spans?.close();
  await closed(server);
  await api.close();
  log('info', 'the operator has ended');
}

/** Leads while it should, one time after the other. */
class Term {
  readonly #lead: (signal: AbortSignal) => Promise<void>;
  #stop: AbortController | undefined;
  #ended: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(lead: (signal: AbortSignal) => Promise<void>) {
    this.#lead = lead;
  }

  set(leading: boolean): void {
    this.#stop?.abort();
    this.#stop = undefined;
    if (!leading || this.#isOver) return;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#ended = this.#ended.then(() => this.#lead(signal));
  }

  /** For good. */
  end(): Promise<void> {
    this.#isOver = true;
    this.#stop?.abort();
    return this.#ended;
  }
}

async function isDoneWithin(clock: Clock, ms: number, work: Promise<void>): Promise<boolean> {
  const enough = new AbortController();
  const done = await Promise.race([work.then(() => true), pause(clock, ms, enough.signal).then(() => false)]);
  enough.abort();
  return done;
}

interface Shown {
  readonly election: Pick<Election, 'leading'>;
  readonly controller: Pick<Controller, 'isSynced' | 'measure'>;
  readonly metrics: Metrics;
  requests(): number;
}

/** /healthz: it lives. /readyz: it knows the cluster. /metrics: for Prometheus. */
async function serve({ host, port }: Address, { election, controller, metrics, requests }: Shown): Promise<Server> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, async (request, response) => {
    const answer = (status: number, text: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type }).end(request.method === 'HEAD' ? undefined : text);
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'only GET\n');
    switch (request.url?.split('?')[0]) {
      case '/healthz':
        return answer(200, 'ok\n');
      case '/readyz':
        return controller.isSynced ? answer(200, 'ok\n') : answer(503, 'the caches are not filled yet\n');
      case '/metrics':
        controller.measure();
        metrics.leader.set(election.leading ? 1 : 0);
        metrics.apiRequests.reset();
        metrics.apiRequests.inc(requests());
        return answer(200, await metrics.registry.metrics(), metrics.registry.contentType);
      default:
        return answer(404, 'there are /healthz, /readyz and /metrics\n');
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => reject(cannotListen(error, host, port)));
    server.listen({ host, port }, resolve);
  });
  return server;
}

function cannotListen(cause: NodeJS.ErrnoException, host: string, port: number): SegfleetError {
  const where = `--listen ${host}:${port}`;
  if (cause.code === 'EADDRINUSE')
    return new SegfleetError('conflict', `${where}: something listens there already; name another port`, { cause });
  if (cause.code === 'EACCES') return new SegfleetError('notAllowed', `${where}: this port needs root; name one above 1023`, { cause });
  return new SegfleetError('usage', `${where}: this machine has no such address (${cause.message})`, { cause });
}

async function closed(server: Server): Promise<void> {
  server.close();
  server.closeAllConnections();
}
