/**
 * Samples as Prometheus reads them: a registry of its own for whoever tells, so that two runs of one process have nothing in common.
 */
import { type Metric, Registry } from 'prom-client';
import type { MetricEntry } from './catalogue.ts';
import type { Sample } from './runMetrics.ts';

export interface Exposition {
  readonly contentType: string;
  text(): Promise<string>;
}

/** @param read the values of this moment, by names without the prefix; asked once for each reading of all */
export function expose(entries: readonly MetricEntry[], prefix: string, read: () => readonly Sample[]): Exposition {
  const registry = new Registry();
  let samples = new Map<string, Sample[]>();
  for (const entry of entries) {
    const { name, help, type } = entry;
    const get = async () => ({
      name,
      help,
      type,
      values: (samples.get(name.slice(prefix.length)) ?? []).flatMap(one => linesOf(entry, one)),
    });
    // Metrics of prom-client count by themselves; what is told here is counted already.
    registry.registerMetric({ name, help, type, get } as unknown as Metric);
  }
  return {
    contentType: registry.contentType,
    text: () => {
      samples = Map.groupBy(read(), ({ name }) => name);
      return registry.metrics();
    },
  };
}

function linesOf({ name, buckets = [] }: MetricEntry, { labels, value }: Sample) {
  if (typeof value === 'number') return [{ labels, value }];
  const { buckets: counts, count, sum } = value;
  return [
    ...buckets.map((bound, i) => ({ metricName: `${name}_bucket`, labels: { ...labels, le: String(bound) }, value: counts[i] })),
    { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
