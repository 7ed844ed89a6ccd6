/**
 * What the operator counts, for Prometheus. The catalogue is all that there is: names, what they mean, and labels whose values are few.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export const metricsPrefix = 'segfleet_operator_';

export const operatorMetrics = {
  reconcileSeconds: {
    type: 'histogram',
    name: 'reconcile_duration_seconds',
    help: 'Time from reading one job out of the caches until its last effect is done.',
    labels: [],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  },
  reconcileErrors: {
    type: 'counter',
    name: 'reconcile_errors_total',
    help: 'Reconciles that failed and are tried again, by the code of the error.',
    labels: ['code'],
  },
  queueDepth: { type: 'gauge', name: 'queue_depth', help: 'Jobs that wait for a free hand.', labels: [] },
  queueWorking: { type: 'gauge', name: 'queue_working', help: 'Jobs that are reconciled at this moment.', labels: [] },
  watchRestarts: {
    type: 'counter',
    name: 'watch_restarts_total',
    help: 'Watches that began anew with a list, by why: ended, resync, expired, silent, unanswered, refused, garbled.',
    labels: ['kind', 'reason'],
  },
  watchLastEvent: {
    type: 'gauge',
    name: 'watch_last_event_timestamp_seconds',
    help: 'When a watch last heard of the API server, bookmarks included; of several namespaces the one that heard least.',
    labels: ['kind'],
  },
  leader: { type: 'gauge', name: 'leader', help: '1 while this process holds the lease and acts, else 0.', labels: [] },
  apiRequests: { type: 'counter', name: 'api_requests_total', help: 'Requests to the API server.', labels: [] },
  jobs: { type: 'gauge', name: 'jobs', help: 'TrainingJobs by phase; those without a status count as Pending.', labels: ['phase'] },
  statusWrites: { type: 'counter', name: 'status_writes_total', help: 'Statuses written.', labels: [] },
  events: { type: 'counter', name: 'events_total', help: 'Events about jobs, by whether they were recorded.', labels: ['outcome'] },
  progressPolls: {
    type: 'counter',
    name: 'progress_polls_total',
    help: 'Coordinators asked for progress, by outcome: answered, or why not: unanswered, refused, garbled.',
    labels: ['outcome'],
  },
} as const satisfies Record<string, Declared>;

interface Declared {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

type Catalogue = typeof operatorMetrics;
type Labels<K extends keyof Catalogue> = Catalogue[K]['labels'][number];
type MetricOf<K extends keyof Catalogue> = Catalogue[K]['type'] extends 'counter'
  ? Counter<Labels<K>>
  : Catalogue[K]['type'] extends 'gauge'
    ? Gauge<Labels<K>>
    : Histogram<Labels<K>>;

export type Metrics = { readonly [K in keyof Catalogue]: MetricOf<K> } & { readonly registry: Registry };

const constructors = { counter: Counter, gauge: Gauge, histogram: Histogram } as const;

/** All of them, and what Node itself can tell, in a registry of their own. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: metricsPrefix });
  const made = Object.entries<Declared>(operatorMetrics).map(([key, { type, name, help, labels, buckets }]) => {
    const configuration = { name: metricsPrefix + name, help, labelNames: [...labels], registers: [registry] };
    return [key, new constructors[type]({ ...configuration, ...(buckets && { buckets: [...buckets] }) })];
  });
  return { ...Object.fromEntries(made), registry } as Metrics;
}
