/**
 * When somebody should look, as rules of Prometheus. What each means and what to do about it stands in docs/runbooks.md, one section an alert.
 *
 * A run that ends badly tells of it for a last scrape and is gone; so what is said once is looked for in the time before (`max_over_time`).
 */
import { stringify } from 'yaml';
import type { RunStateName } from '../../trainer/tracking/catalogue.ts';
import { by, countOf, gpuOfWorkers, metric, onRun, rate, sumOf, withInfo, withWorker } from './queries.ts';

export interface Alert {
  readonly name: string;
  readonly severity: 'critical' | 'warning' | 'info';
  /** How long it has to be so. @default at once */
  readonly lasting?: string;
  readonly expression: string;
  /** One line. In `{{ }}` what Prometheus puts there. */
  readonly summary: string;
  readonly description: string;
}

/** The page with the runbooks, as it lies in the repository: whoever installs the rules may say where they read it. */
export const runbooks = 'docs/runbooks.md';

const namespacedRun = ['namespace', 'run'] as const;
/** Of one process. */
const perRun = ['namespace', 'job', 'instance', 'run'] as const;
const theRun = '{{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.run }}';

const inState = (...states: readonly RunStateName[]) => `and ${onRun} ${metric('run_state', { state: states })} == 1`;
const working = inState('training', 'validating');
const lately = (expression: string) => `max_over_time(${expression}[15m])`;
/** Also of runs that have just gone. */
const infoLately = lately(metric('run_info'));
const meanStep = `(${by('sum', perRun, rate(sumOf('step_duration_seconds'), '10m'))} / ${by('sum', perRun, rate(countOf('step_duration_seconds'), '10m'))})`;

/** How much a counter over all processes of a run has risen: each process begins with what the one before had counted. */
const risen = (series: string, over: string) => {
  const over_ = (how: 'max' | 'min') =>
    by('sum', namespacedRun, by(how, [...namespacedRun, 'reason'], `${how}_over_time(${series}[${over}])`));
  return `${over_('max')} - ${over_('min')}`;
};

export const runAlerts: readonly Alert[] = [
  {
    name: 'TrainingStalled',
    severity: 'critical',
    lasting: '2m',
    expression: [
      `${metric('last_step_age_seconds')} > 600 ${inState('training')}`,
      `${metric('last_step_age_seconds')} > 3600 ${inState('starting', 'waiting', 'validating', 'finishing')}`,
    ].join(' or '),
    summary: `${theRun} has done no step for {{ $value | humanizeDuration }}`,
    description:
      'The process answers, and no step was done: for 10 minutes while it trains, or for an hour while it starts, waits for workers or validates.',
  },
  {
    name: 'TrainingNonFinite',
    severity: 'critical',
    expression: `${withInfo(lately(metric('nonfinite_total')), ['loss'], infoLately)} > 0`,
    summary: `${theRun} ended: its loss, {{ $labels.loss }}, or a gradient was no finite number`,
    description: 'The step was not applied, and the last checkpoint is good. The run is not tried again: it would come to the same step.',
  },
  {
    name: 'LossDiverging',
    severity: 'warning',
    lasting: '5m',
    expression: withInfo(
      `(${[
        `${metric('loss_normalised_ratio', { split: 'training' })} > 1`,
        `${metric('epoch')} > 4 unless ${onRun} ${metric('loss_normalised_ratio', { split: 'training' })}`,
      ].join(' or ')})`,
      ['loss'],
    ),
    summary: `${theRun} gets worse: {{ $labels.loss }} is higher than after the first epoch`,
    description:
      'The training loss of the last epoch is higher than that of the first one, though it had been lower since; or five epochs and more are done, and none was better than the first.',
  },
  {
    name: 'StragglerWorker',
    severity: 'warning',
    lasting: '10m',
    expression: withWorker(
      `(avg_over_time(${metric('worker_lateness_seconds')}[10m]) > ${onRun} group_left () (0.3 * ${meanStep}) > 0.05)`,
    ),
    summary: `Rank {{ $labels.rank }} of ${theRun}, {{ $labels.worker }}, comes {{ $value | humanizeDuration }} after the others`,
    description: 'For ten minutes one worker has been late by more than 30 % of a step: all others wait for it in every step.',
  },
  {
    name: 'WorkerMissing',
    severity: 'warning',
    lasting: '5m',
    expression: `(${metric('workers')} < ${metric('workers_planned')}) ${inState('training', 'validating', 'waiting')}`,
    summary: `${theRun} has {{ $value }} workers, fewer than planned`,
    description:
      'The others compute its lanes: the result is the same, later. It says so too where somebody has scaled the job down since it began.',
  },
  {
    name: 'WorkersKeepFailing',
    severity: 'warning',
    expression: `${by('sum', namespacedRun, `increase(${metric('workers_lost_total', { reason: { not: ['left', 'returned'] } })}[1h])`)} > 5`,
    summary: `${theRun} lost {{ $value | printf "%.0f" }} workers within an hour`,
    description: 'They failed, hung, were too slow, or were heard no more. Those that left in good order do not count.',
  },
  {
    name: 'RestartLoop',
    severity: 'critical',
    expression: `${risen(metric('restarts_total', { reason: ['killed', 'failed', 'other'] }), '1h')} > 3`,
    summary: `${theRun} was started again {{ $value }} times within an hour`,
    description: 'The process that leads it fails or is killed again and again. Each time it goes on from the last checkpoint.',
  },
  {
    name: 'CheckpointTooOld',
    severity: 'critical',
    lasting: '5m',
    expression: [
      `${metric('checkpoint_age_seconds')} > 1800 and ${onRun} ${metric('checkpoint_age_seconds')} > 3 * ${metric('elapsed_seconds')} / ${metric('checkpoints_total')} ${working}`,
      `${metric('checkpoint_age_seconds')} > 14400 ${working}`,
      `(${metric('elapsed_seconds')} > 14400 unless ${onRun} ${metric('checkpoint_age_seconds')}) ${working}`,
    ].join(' or '),
    summary: `${theRun} has written no checkpoint for {{ $value | humanizeDuration }}`,
    description:
      'The newest checkpoint is three times as old as they usually get, and more than half an hour; or four hours. What was computed since would be lost.',
  },
  {
    name: 'CheckpointFailing',
    severity: 'critical',
    expression: `${lately(metric('checkpoint_failures_total'))} > 0`,
    summary: `${theRun} ended: it could not write a checkpoint`,
    description: 'The checkpoint before it stands. On a cluster the run is tried again where the error can pass.',
  },
  {
    name: 'CheckpointUnverified',
    severity: 'warning',
    expression: `${metric('checkpoint_verified_age_seconds')} > 86400 ${working}`,
    summary: `Nobody has read back a checkpoint of ${theRun} for {{ $value | humanizeDuration }}`,
    description: 'Every checkpoint is read back when it was written, and when a run is resumed from it. For a day neither has happened.',
  },
  {
    name: 'DataStarvation',
    severity: 'warning',
    lasting: '15m',
    expression: `${by('sum', perRun, rate(metric('phase_seconds_total', { phase: 'data' }), '10m'))} / ${by('sum', perRun, rate(metric('phase_seconds_total', { phase: { not: ['validation', 'checkpoint'] } }), '10m'))} > 0.4`,
    summary: `${theRun} spends {{ $value | humanizePercentage }} of its steps waiting for images`,
    description: 'For a quarter of an hour steps have waited for data more than 40 % of their time.',
  },
  {
    name: 'LowGoodput',
    severity: 'info',
    lasting: '30m',
    expression: `${metric('goodput_ratio')} < 0.8 and ${onRun} ${metric('elapsed_seconds')} > 3600 ${working}`,
    summary: `${theRun} has spent only {{ $value | humanizePercentage }} of its time in work that counts`,
    description: 'The rest went into starting, waiting for workers, checkpoints, and steps that were done again.',
  },
  {
    name: 'S3Errors',
    severity: 'warning',
    lasting: '10m',
    expression: `${by('sum', perRun, rate(metric('s3_requests_total', { outcome: ['refused', 'throttled', 'server', 'network'] }), '10m'))} / ${by('sum', perRun, rate(metric('s3_requests_total'), '10m'))} > 0.05`,
    summary: `{{ $value | humanizePercentage }} of the requests of ${theRun} to object storage go wrong`,
    description:
      'They were refused, throttled, answered by an error of the server, or not answered. Requests are tried again; a run ends when that does not help.',
  },
  {
    name: 'AuthFailures',
    severity: 'critical',
    expression: `${by('sum', namespacedRun, `increase(${metric('connections_refused_total', { reason: 'auth' })}[10m])`)} > 0`,
    summary: `Somebody without the key tries to connect to the coordinator of ${theRun}`,
    description: 'The connection was refused. Either a worker has the keys of another run, or it is somebody who has no business there.',
  },
  {
    name: 'GpuIdleWhileAllocated',
    severity: 'warning',
    lasting: '10m',
    expression: `${gpuOfWorkers('20m')} < 5 and on (${namespacedRun.join(', ')}) ${metric('run_state', { state: ['training', 'validating', 'waiting'] })} == 1`,
    summary: 'The GPU of pod {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.pod }} has been idle for 20 minutes',
    description: 'It is allocated to a worker of a run that goes on, and its utilisation was below 5 %. Needs the DCGM exporter.',
  },
];

export const sweepAlerts: readonly Alert[] = [
  {
    name: 'SweepStuck',
    severity: 'warning',
    lasting: '5m',
    expression: `${metric('sweep_last_event_age_seconds')} > 3600 and on (job, instance, sweep) ${metric('sweep_cells', { state: ['waiting', 'running'] })} > 0`,
    summary: 'Sweep {{ $labels.sweep }} has told of nothing for {{ $value | humanizeDuration }}',
    description: 'Trials wait or run, and for an hour none has begun, finished an epoch or ended.',
  },
  {
    name: 'SweepWaiting',
    severity: 'warning',
    // All operators tell of the same sweeps.
    expression: `${by('max', ['sweep'], metric('operator_sweep_waiting_seconds'))} > 3600`,
    summary: 'A trial of sweep {{ $labels.sweep }} has waited {{ $value | humanizeDuration }} for room',
    description: 'For an hour it has had no quota, no node or the like, and no other trial is started before it.',
  },
];

const leaders = by('sum', ['namespace', 'job'], metric('operator_leader'));

export const operatorAlerts: readonly Alert[] = [
  {
    name: 'OperatorNoLeader',
    severity: 'critical',
    lasting: '2m',
    expression: `${leaders} == 0 or (${by('max', ['namespace', 'job'], `max_over_time(${metric('operator_leader')}[6h])`)} unless on (namespace, job) ${leaders})`,
    summary: 'No operator{{ with $labels.namespace }} in {{ . }}{{ end }} leads',
    description: 'None holds the lease, or none that there was answers. Runs go on; nothing starts, scales or ends as it was told to.',
  },
];

export const alertGroups: Readonly<Record<string, readonly Alert[]>> = {
  'segfleet-runs': runAlerts,
  'segfleet-sweeps': sweepAlerts,
  'segfleet-operator': operatorAlerts,
};

/** Where on the page its section is. */
export const runbookOf = ({ name }: Alert): string => `${runbooks}#${name.toLowerCase()}`;

/** For `rule_files` of Prometheus, and the spec of a PrometheusRule. */
export const rulesFile = (): string =>
  stringify(
    {
      groups: Object.entries(alertGroups).map(([name, alerts]) => ({
        name,
        rules: alerts.map(alert => ({
          alert: `Segfleet${alert.name}`,
          expr: alert.expression,
          ...(alert.lasting && { for: alert.lasting }),
          labels: { severity: alert.severity },
          annotations: { summary: alert.summary, description: alert.description, runbook_url: runbookOf(alert) },
        })),
      })),
    },
    { lineWidth: 0, defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN' },
  );
