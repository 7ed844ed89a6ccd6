/**
 * Dashboard: all jobs, runs and sweeps at once, and the operator that looks after them.
 */
import type { Dashboard } from './dashboard.ts';
import { buckets, by, countOf, metric, quantile, rate } from './queries.ts';

const chosen = { namespace: '$namespace' } as const;
/** Of the operator, which may lie in another namespace than jobs. */
const all = (expression: string, ...labels: Parameters<typeof by>[1]) => by('sum', labels, expression);

export const fleet: Dashboard = {
  name: 'fleet',
  title: 'segfleet: fleet and operator',
  about: 'Jobs, runs and sweeps at once, and the health of the operator.',
  choices: [
    { name: 'namespace', label: 'Namespace of runs', of: ['run_info', 'namespace'] },
    { name: 'sweep', label: 'Sweep', of: ['sweep_cells', 'sweep'] },
  ],
  rows: [
    {
      title: 'Jobs and runs',
      panels: [
        {
          title: 'Jobs by phase',
          about: 'TrainingJobs as the leading operator sees them.',
          kind: 'stacked',
          unit: 'none',
          queries: [{ expression: by('max', ['phase'], metric('operator_jobs')), legend: '{{phase}}' }],
        },
        {
          title: 'Runs by state',
          about: 'Those that tell of themselves now.',
          kind: 'stacked',
          unit: 'none',
          queries: [{ expression: all(metric('run_state', chosen), 'state'), legend: '{{state}}' }],
        },
        {
          title: 'Workers',
          about: 'That compute, of those that were planned.',
          kind: 'series',
          unit: 'none',
          queries: [
            { expression: `sum(${metric('workers', chosen)})`, legend: 'workers' },
            { expression: `sum(${metric('workers_planned', chosen)})`, legend: 'planned' },
          ],
        },
      ],
    },
    {
      title: 'Sweeps on a machine',
      panels: [
        {
          title: 'Trials by state',
          about: 'Of sweeps that `sweep run` drives.',
          kind: 'stacked',
          unit: 'none',
          queries: [{ expression: all(metric('sweep_cells', { sweep: '$sweep' }), 'sweep', 'state'), legend: '{{sweep}}, {{state}}' }],
        },
        {
          title: 'Runs of trials by state',
          about: 'Replicates are runs of their own.',
          kind: 'stacked',
          unit: 'none',
          queries: [{ expression: all(metric('sweep_runs', { sweep: '$sweep' }), 'sweep', 'state'), legend: '{{sweep}}, {{state}}' }],
        },
        {
          title: 'Since the last news',
          about: 'Of a trial that was chosen, or of a run. A sweep that stands still: SweepStuck.',
          kind: 'series',
          unit: 's',
          width: 4,
          queries: [{ expression: by('max', ['sweep'], metric('sweep_last_event_age_seconds', { sweep: '$sweep' })), legend: '{{sweep}}' }],
        },
        {
          title: 'Time spent',
          about: 'By runs that have ended or paused.',
          kind: 'stat',
          unit: 's',
          width: 4,
          queries: [{ expression: by('max', ['sweep'], metric('sweep_seconds_total', { sweep: '$sweep' })), legend: '{{sweep}}' }],
        },
      ],
    },
    {
      title: 'Sweeps on a cluster',
      panels: [
        {
          title: 'Trials of Sweeps by state',
          about: 'As the operator sees them; of those that go on, or ended within 15 minutes.',
          kind: 'stacked',
          unit: 'none',
          queries: [{ expression: by('max', ['sweep', 'state'], metric('operator_sweep_cells')), legend: '{{sweep}}, {{state}}' }],
        },
        {
          title: 'Waiting for room',
          about: 'How long a trial has had no quota, no node or the like; no other is started before it. For an hour: SweepWaiting.',
          kind: 'series',
          unit: 's',
          queries: [{ expression: by('max', ['sweep'], metric('operator_sweep_waiting_seconds')), legend: '{{sweep}}' }],
        },
        {
          title: 'Sweeps by phase',
          about: 'All that there are.',
          kind: 'stacked',
          unit: 'none',
          queries: [{ expression: by('max', ['phase'], metric('operator_sweeps')), legend: '{{phase}}' }],
        },
      ],
    },
    {
      title: 'The operator',
      panels: [
        {
          title: 'Leader',
          about: '1 for the one that acts. None for long: OperatorNoLeader.',
          kind: 'series',
          unit: 'none',
          max: 1,
          queries: [{ expression: all(metric('operator_leader'), 'instance'), legend: '{{instance}}' }],
        },
        {
          title: 'Time of a reconcile',
          about: 'Median and 99th percentile.',
          kind: 'series',
          unit: 's',
          queries: [0.5, 0.99].map(share => ({
            expression: quantile(share, [], buckets('operator_reconcile_duration_seconds')),
            legend: share === 0.5 ? 'median' : '99 %',
          })),
        },
        {
          title: 'Reconciles per second, and those that failed',
          about: 'Failed ones are tried again; by the code of the error.',
          kind: 'series',
          unit: 'ops',
          queries: [
            { expression: `sum(${rate(countOf('operator_reconcile_duration_seconds'))})`, legend: 'all' },
            { expression: `${all(rate(metric('operator_reconcile_errors_total')), 'code')} or vector(0)`, legend: 'failed {{code}}' },
          ],
        },
        {
          title: 'Queue',
          about: 'Jobs that wait for a free hand, and those that are reconciled at this moment.',
          kind: 'series',
          unit: 'none',
          queries: [
            { expression: `sum(${metric('operator_queue_depth')})`, legend: 'waiting' },
            { expression: `sum(${metric('operator_queue_working')})`, legend: 'in work' },
          ],
        },
        {
          title: 'Watches that began anew, per second',
          about: 'ended: the usual; others are trouble with the API server.',
          kind: 'series',
          unit: 'ops',
          queries: [
            {
              expression: `${all(rate(metric('operator_watch_restarts_total')), 'kind', 'reason')} or vector(0)`,
              legend: '{{kind}} {{reason}}',
            },
          ],
        },
        {
          title: 'Since a watch heard of the API server',
          about: 'Bookmarks included.',
          kind: 'series',
          unit: 's',
          queries: [
            {
              expression: `time() - (${by('max', ['kind'], metric('operator_watch_last_event_timestamp_seconds'))} > 0)`,
              legend: '{{kind}}',
            },
          ],
        },
        {
          title: 'Requests to the API server per second',
          about: 'And how many of them wrote a status.',
          kind: 'series',
          unit: 'ops',
          queries: [
            { expression: `sum(${rate(metric('operator_api_requests_total'))})`, legend: 'requests' },
            { expression: `sum(${rate(metric('operator_status_writes_total'))})`, legend: 'statuses' },
          ],
        },
        {
          title: 'Events per second',
          about: 'About jobs, by whether they were recorded.',
          kind: 'series',
          unit: 'ops',
          queries: [{ expression: `${all(rate(metric('operator_events_total')), 'outcome')} or vector(0)`, legend: '{{outcome}}' }],
        },
        {
          title: 'Coordinators asked for progress, per second',
          about: 'By whether they answered.',
          kind: 'series',
          unit: 'ops',
          queries: [{ expression: `${all(rate(metric('operator_progress_polls_total')), 'outcome')} or vector(0)`, legend: '{{outcome}}' }],
        },
      ],
    },
  ],
};
