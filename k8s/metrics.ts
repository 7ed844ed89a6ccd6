/**
 * What the operator counts, for Prometheus: what the catalogue says of it, and what Node can tell of itself.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type MetricEntry, operatorEntries, operatorPrefix } from '../trainer/tracking/catalogue.ts';

type Catalogue = typeof operatorEntries;
type Labels<K extends keyof Catalogue> = string & keyof Catalogue[K]['labels'];
type MetricOf<K extends keyof Catalogue> = Catalogue[K]['type'] extends 'counter'
  ? Counter<Labels<K>>
  : Catalogue[K]['type'] extends 'gauge'
    ? Gauge<Labels<K>>
    : Histogram<Labels<K>>;

export type Metrics = { readonly [K in keyof Catalogue]: MetricOf<K> } & { readonly registry: Registry };

const constructors = { counter: Counter, gauge: Gauge, histogram: Histogram } as const;

/** All of them in a registry of their own. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: operatorPrefix });
  const made = Object.entries<MetricEntry>(operatorEntries).map(([key, { type, name, help, labels, buckets }]) => {
    const configuration = { name: operatorPrefix + name, help, labelNames: Object.keys(labels), registers: [registry] };
    return [key, new constructors[type]({ ...configuration, ...(buckets && { buckets: [...buckets] }) })];
  });
  return { ...Object.fromEntries(made), registry } as Metrics;
}
