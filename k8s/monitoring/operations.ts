/**
 * Dashboard: how a run does, whatever its loss: where its time goes, its workers, its checkpoints, its store, and who knocks at its door.
 */
import { runStates } from '../../trainer/tracking/catalogue.ts';
import type { Dashboard, Panel } from './dashboard.ts';
import { buckets, by, gpuOfWorkers, metric, quantile, rate, withWorker } from './queries.ts';

const chosen = { namespace: '$namespace', run: '$run' } as const;
const run = ['namespace', 'run'] as const;
const perRun = (expression: string) => by('max', run, expression);
const inAll = (expression: string, label: 'reason' | 'operation' | 'outcome') => by('sum', [...run, label], expression);

/** One line a reason that has come up, and one at 0 where none has: there are many reasons. */
const reasons = (series: string) => ({
  expression: `${inAll(series, 'reason')} > 0 or ${by('sum', run, series)} == 0`,
  legend: '{{run}} {{reason}}',
});

const byRank = (title: string, about: string, expression: string, unit: Panel['unit']): Panel => ({
  title,
  about,
  kind: 'series',
  unit,
  queries: [{ expression: by('max', [...run, 'rank', 'worker'], withWorker(expression)), legend: '{{run}}, rank {{rank}}, {{worker}}' }],
});

/** Each state times its number: one of them is 1. */
const state = by(
  'sum',
  run,
  runStates.map((name, number) => `${number} * ${metric('run_state', { ...chosen, state: name })}`).join(' or '),
);

export const operations: Dashboard = {
  name: 'operations',
  title: 'segfleet: run operations',
  about: 'Where the time of runs goes, their workers, checkpoints and store.',
  choices: [
    { name: 'namespace', label: 'Namespace', of: ['run_info', 'namespace'] },
    { name: 'run', label: 'Run', of: ['run_info', 'run'], among: { namespace: '$namespace' } },
  ],
  rows: [
    {
      title: 'How it goes',
      panels: [
        {
          title: 'State',
          about: 'What the run is doing. Waiting: for workers.',
          kind: 'states',
          states: runStates,
          width: 24,
          queries: [{ expression: state, legend: '{{run}}' }],
        },
        {
          title: 'Progress',
          about: 'Share of all steps that are done.',
          kind: 'bars',
          unit: 'percentunit',
          max: 1,
          width: 6,
          queries: [{ expression: `${perRun(metric('step', chosen))} / ${perRun(metric('steps_planned', chosen))}`, legend: '{{run}}' }],
        },
        {
          title: 'Time left',
          about: 'At the pace of steps, validations and checkpoints since this process began.',
          kind: 'stat',
          unit: 's',
          width: 6,
          queries: [
            {
              expression: `${perRun(metric('elapsed_seconds', chosen))} * (${perRun(metric('steps_planned', chosen))} - ${perRun(metric('step', chosen))}) / (${perRun(metric('steps_total', chosen))} > 0)`,
              legend: '{{run}}',
            },
          ],
        },
        {
          title: 'Since the last step',
          about: 'A run that stands still: TrainingStalled.',
          kind: 'series',
          unit: 's',
          width: 6,
          queries: [{ expression: perRun(metric('last_step_age_seconds', chosen)), legend: '{{run}}' }],
        },
        {
          title: 'Failures',
          about: 'Ends that were not asked for, by the code of the error, within the time shown.',
          kind: 'stat',
          unit: 'none',
          width: 6,
          queries: [
            {
              expression: `${by('sum', ['code'], `max_over_time(${metric('run_failures_total', chosen)}[$__range])`)} or vector(0)`,
              legend: '{{code}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Where the time goes',
      panels: [
        {
          title: 'Steps per second',
          about: 'Those that were done again included.',
          kind: 'series',
          unit: 'ops',
          queries: [{ expression: by('sum', run, rate(metric('steps_total', chosen))), legend: '{{run}}' }],
        },
        {
          title: 'Images per second',
          about: 'Training images, or patches.',
          kind: 'series',
          unit: 'ops',
          queries: [{ expression: by('sum', run, rate(metric('samples_total', chosen))), legend: '{{run}}' }],
        },
        {
          title: 'Time of a step',
          about: 'From asking for its data to having applied it: median and 99th percentile.',
          kind: 'series',
          unit: 's',
          queries: [0.5, 0.99].map(share => ({
            expression: quantile(share, run, buckets('step_duration_seconds', chosen)),
            legend: `{{run}}, ${share === 0.5 ? 'median' : '99 %'}`,
          })),
        },
        {
          title: 'Seconds of each second, by phase',
          about:
            'data: waiting for images; exchange: waiting for the sums of others; commit: until all agree. What is missing to 1 is start, and waiting for workers.',
          kind: 'stacked',
          unit: 'percentunit',
          width: 12,
          queries: [
            {
              expression: `${by('sum', ['phase'], rate(metric('phase_seconds_total', chosen)))} / scalar(count(${metric('run_info', chosen)}))`,
              legend: '{{phase}}',
            },
          ],
        },
        {
          title: 'Goodput',
          about: 'Share of the elapsed time in steps and validations that count.',
          kind: 'series',
          unit: 'percentunit',
          max: 1,
          width: 6,
          queries: [{ expression: perRun(metric('goodput_ratio', chosen)), legend: '{{run}}' }],
        },
        {
          title: 'Steps done again',
          about: 'A worker was lost in the middle of one, or no checkpoint held them.',
          kind: 'series',
          unit: 'none',
          width: 6,
          queries: [{ expression: perRun(metric('steps_repeated_total', chosen)), legend: '{{run}}' }],
        },
      ],
    },
    {
      title: 'Workers',
      panels: [
        {
          title: 'Workers',
          about: 'Those that share the steps, those that were planned, and spares.',
          kind: 'series',
          unit: 'none',
          queries: [
            { expression: perRun(metric('workers', chosen)), legend: '{{run}}' },
            { expression: perRun(metric('workers_planned', chosen)), legend: '{{run}}, planned' },
            { expression: perRun(metric('workers_spare', chosen)), legend: '{{run}}, spare' },
          ],
        },
        {
          title: 'Generation',
          about: 'Rises each time that other workers share the steps.',
          kind: 'series',
          unit: 'none',
          queries: [{ expression: perRun(metric('generation', chosen)), legend: '{{run}}' }],
        },
        {
          title: 'Workers lost, by why',
          about: 'Since the process that leads the run began.',
          kind: 'series',
          unit: 'none',
          queries: [reasons(metric('workers_lost_total', chosen))],
        },
        byRank(
          'Lateness, by rank',
          'How long the part of a worker came to the others after the first one. The one that is always late: StragglerWorker.',
          metric('worker_lateness_seconds', chosen),
          's',
        ),
        byRank(
          'Own time, by rank',
          'In the last step, data included, without waiting for others.',
          metric('worker_compute_seconds', chosen),
          's',
        ),
        byRank('Silence, by rank', 'Since a worker was heard last.', metric('worker_silence_seconds', chosen), 's'),
        byRank('Lanes, by rank', 'What each worker computes of a batch.', metric('worker_lanes', chosen), 'none'),
        {
          title: 'Restarts, by how the process before had ended',
          about: 'Over all processes of the run.',
          kind: 'series',
          unit: 'none',
          queries: [reasons(metric('restarts_total', chosen))],
        },
        {
          title: 'GPU utilisation, by pod',
          about: 'Of the pods of workers, told by the DCGM exporter of NVIDIA.',
          kind: 'series',
          unit: 'percentunit',
          max: 1,
          needs: 'the DCGM exporter',
          queries: [
            {
              expression: `${gpuOfWorkers('$__rate_interval')} / 100 and on (${run.join(', ')}) ${metric('run_info', chosen)}`,
              legend: '{{pod}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Checkpoints',
      panels: [
        {
          title: 'Age of the newest checkpoint',
          about: 'Since it was written, and since every byte of it was last read back.',
          kind: 'series',
          unit: 's',
          width: 12,
          queries: [
            { expression: perRun(metric('checkpoint_age_seconds', chosen)), legend: '{{run}}, written' },
            { expression: perRun(metric('checkpoint_verified_age_seconds', chosen)), legend: '{{run}}, verified' },
          ],
        },
        {
          title: 'Size',
          about: 'Of the newest checkpoint.',
          kind: 'series',
          unit: 'bytes',
          width: 6,
          queries: [{ expression: perRun(metric('checkpoint_bytes', chosen)), legend: '{{run}}' }],
        },
        {
          title: 'Written, and failed',
          about: 'By this process. A run ends with a checkpoint that cannot be written.',
          kind: 'series',
          unit: 'none',
          width: 6,
          queries: [
            { expression: perRun(metric('checkpoints_total', chosen)), legend: '{{run}}, written' },
            { expression: perRun(metric('checkpoint_failures_total', chosen)), legend: '{{run}}, failed' },
          ],
        },
      ],
    },
    {
      title: 'Object storage, and strangers',
      panels: [
        {
          title: 'Requests per second, by operation',
          about: 'To object storage, each attempt counted.',
          kind: 'series',
          unit: 'ops',
          needs: 'data or checkpoints in object storage',
          queries: [{ expression: inAll(rate(metric('s3_requests_total', chosen)), 'operation'), legend: '{{run}}, {{operation}}' }],
        },
        {
          title: 'Requests that went wrong, per second',
          about: 'Refused, throttled (429 and 503), other 5xx, or no answer. Not found and conditions that were not met are answers.',
          kind: 'series',
          unit: 'ops',
          queries: [
            {
              expression: `${inAll(rate(metric('s3_requests_total', { ...chosen, outcome: ['refused', 'throttled', 'server', 'network'] })), 'outcome')} or vector(0)`,
              legend: '{{run}} {{outcome}}',
            },
          ],
        },
        {
          title: 'Time until the answer begins',
          about: '99th percentile, by operation.',
          kind: 'series',
          unit: 's',
          needs: 'data or checkpoints in object storage',
          queries: [
            {
              expression: quantile(0.99, [...run, 'operation'], buckets('s3_request_duration_seconds', chosen)),
              legend: '{{run}}, {{operation}}',
            },
          ],
        },
        {
          title: 'Messages dropped unread',
          about: 'To the coordinator, by what was wrong with them.',
          kind: 'series',
          unit: 'none',
          width: 12,
          queries: [reasons(metric('frames_dropped_total', chosen))],
        },
        {
          title: 'Connections refused',
          about: 'auth: whoever it was has not the key of the run.',
          kind: 'series',
          unit: 'none',
          width: 12,
          queries: [reasons(metric('connections_refused_total', chosen))],
        },
      ],
    },
  ],
};
