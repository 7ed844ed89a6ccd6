/**
 * PromQL whose names come from the catalogue: a metric, a label or a value that there is not does not compile.
 *
 * Series of one process are told apart by `job` and `instance`, which Prometheus adds, so what a process says is joined on these and its run: that
 * stays right where two runs have one name, and where a coordinator has come after another. `namespace` is there on a cluster alone.
 */
import { metricsPrefix, type operatorEntries, type runMetrics, type sweepMetrics } from '../../trainer/tracking/catalogue.ts';

type OperatorEntry = (typeof operatorEntries)[keyof typeof operatorEntries];
type Entries = typeof runMetrics & typeof sweepMetrics & { readonly [E in OperatorEntry as `operator_${E['name']}`]: E };
export type MetricName = keyof Entries;
type HistogramName = { [N in MetricName]: Entries[N]['type'] extends 'histogram' ? N : never }[MetricName];
type LabelsOf<N extends MetricName> = keyof Entries[N]['labels'] & string;

/** Of who is scraped: Prometheus adds them. */
export const targetLabels = ['namespace', 'pod', 'job', 'instance'] as const;
type TargetLabel = (typeof targetLabels)[number];
export type Label = { [N in MetricName]: LabelsOf<N> }[MetricName] | TargetLabel | 'le';

/** Of a dashboard: what is chosen there. */
type Variable = `$${string}`;
type ValueOf<V> = V extends readonly (infer S extends string)[] ? S : string;
type Wanted<S extends string> = S | readonly S[] | { readonly not: readonly S[] } | Variable;
export type Matchers<N extends MetricName> = { readonly [L in LabelsOf<N>]?: Wanted<ValueOf<Entries[N]['labels'][L]>> } & {
  readonly [L in TargetLabel]?: Wanted<string>;
};

function matcher(label: string, wanted: Wanted<string>): string {
  if (typeof wanted !== 'string') return 'not' in wanted ? `${label}!~"${wanted.not.join('|')}"` : `${label}=~"${wanted.join('|')}"`;
  return `${label}${wanted.startsWith('$') ? '=~' : '='}"${wanted}"`;
}

function selector(name: string, matchers: object): string {
  const all = Object.entries(matchers).map(([label, wanted]) => matcher(label, wanted as Wanted<string>));
  return metricsPrefix + name + (all.length > 0 ? `{${all.join(', ')}}` : '');
}

/** The series of a metric, or those whose labels match. */
export const metric = <N extends Exclude<MetricName, HistogramName>>(name: N, matchers: Matchers<N> = {}): string =>
  selector(name, matchers);

/** Counts of a histogram up to each bound, by `le`. */
export const buckets = <N extends HistogramName>(name: N, matchers: Matchers<N> = {}): string => selector(`${name}_bucket`, matchers);
export const sumOf = <N extends HistogramName>(name: N, matchers: Matchers<N> = {}): string => selector(`${name}_sum`, matchers);
export const countOf = <N extends HistogramName>(name: N, matchers: Matchers<N> = {}): string => selector(`${name}_count`, matchers);

type Aggregation = 'sum' | 'avg' | 'min' | 'max' | 'count';

export const by = (how: Aggregation, labels: readonly Label[], expression: string): string =>
  `${how} by (${labels.join(', ')}) (${expression})`;

/** @param over a duration, or a variable of Grafana */
export const rate = (series: string, over = '$__rate_interval'): string => `rate(${series}[${over}])`;

/** Of what a histogram counted lately. @param labels besides the bounds */
export const quantile = (share: number, labels: readonly Label[], series: string): string =>
  `histogram_quantile(${share}, ${by('sum', [...labels, 'le'], rate(series))})`;

/** Matches series of one process and run. */
export const onRun = `on (${(['job', 'instance', 'run'] satisfies Label[]).join(', ')})`;

/** With labels of what the run is. @param info `run_info`, or how it was lately */
export const withInfo = (expression: string, labels: readonly LabelsOf<'run_info'>[], info = metric('run_info')): string =>
  `${expression} * ${onRun} group_left (${labels.join(', ')}) ${info}`;

/** With the name of the worker that has the rank: on a cluster that of its pod. */
export const withWorker = (expression: string): string =>
  `${expression} * on (${(['job', 'instance', 'run', 'rank'] satisfies Label[]).join(', ')}) group_left (${'worker' satisfies Label}) ${metric('worker_info')}`;

/**
 * GPU utilisation of the pods of workers, 0 to 100, by namespace, run and pod: the DCGM exporter tells it by pod, and the name of a pod begins with that
 * of its run (as k8s/names.ts makes it, where the name is not so long that it is cut). Where the exporter's labels are not honoured, those of the pod
 * are `exported_`.
 */
export function gpuOfWorkers(over: string): string {
  const put = (expression: string, label: Label, from: string, pattern = '(.+)') =>
    `label_replace(${expression}, "${label}", "$1", "${from}", "${pattern}")`;
  const ofPods = put(put(`avg_over_time(DCGM_FI_DEV_GPU_UTIL[${over}])`, 'pod', 'exported_pod'), 'namespace', 'exported_namespace');
  return `${by('avg', ['namespace', 'run', 'pod'], put(ofPods, 'run', 'pod', '(.+)-workers-[0-9]+-[a-z0-9]+'))}`;
}
