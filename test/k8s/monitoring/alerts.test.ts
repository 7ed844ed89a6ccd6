/**
 * The alerts: what fires each of them and what does not, as Prometheus evaluates them, and that each has its runbook.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { commands } from '../../../cli/commands.ts';
import { alertGroups, runbookOf, runbooks } from '../../../k8s/monitoring/alerts.ts';
import { alertsFile } from '../../../k8s/monitoring/files.ts';
import type { MetricName } from '../../../k8s/monitoring/queries.ts';
import { type RuleCase, wrongCases } from '../../tools/promtool.ts';
import { hasPrometheus } from '../../tools/tools.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'segfleet-alerts-'));
afterAll(() => rmSync(folder, { recursive: true }));

const alerts = Object.values(alertGroups).flat();

type Labels = Readonly<Record<string, string>>;

/** Of the coordinator of run `a` in the namespace `team`. */
const process_ = { namespace: 'team', job: 'runs', instance: '10.0.0.1:8080', run: 'a' };
const written = (name: string, labels: Labels, values: string) => ({
  series: `${name}{${Object.entries(labels)
    .map(([label, value]) => `${label}="${value}"`)
    .join(', ')}}`,
  values,
});
const ofRun = (name: MetricName | `${MetricName}_${'sum' | 'count'}`, values: string, labels: Labels = {}) =>
  written(`segfleet_${name}`, { ...process_, ...labels }, values);
const inState = (state: string) => ofRun('run_state', '1x200', { state });
const withDice = (values = '1x200') => ofRun('run_info', values, { loss: 'dice' });
const workerOfRank1 = ofRun('worker_info', '1x200', { rank: '1', worker: 'a-workers-1-abcde' });
const stepsOfTwoSeconds = [ofRun('step_duration_seconds_sum', '0+60x40'), ofRun('step_duration_seconds_count', '0+30x40')];
const gpu = (values: string) => {
  const labels = { namespace: 'gpu', pod: 'dcgm-x', exported_namespace: 'team', exported_pod: 'a-workers-0-abcde', gpu: '0' };
  return written('DCGM_FI_DEV_GPU_UTIL', labels, values);
};
const onSweep = { job: 'sweeps', instance: 'localhost:9464', sweep: 's' };
const operators = { namespace: 'fleet', job: 'segfleet-operator' };
const leader = (instance: string, values: string) => written('segfleet_operator_leader', { ...operators, instance }, values);
/** Process after process, each six minutes long, of which each has counted one restart more. */
const restarted = (reason: string) =>
  [0, 1, 2, 3, 4].map(number =>
    ofRun('restarts_total', `${'_ '.repeat(6 * number)}${number}x4 stale`, { reason, instance: `10.0.0.${number}:8080` }),
  );

interface Case {
  readonly alert: string;
  readonly when: string;
  readonly series: RuleCase['series'];
  readonly at: string;
  /** The labels that it has and what it says; it is silent where there is none. */
  readonly fires?: readonly [labels: Labels, summary: string];
}

const namespacedRun = { namespace: 'team', run: 'a' };

const cases: readonly Case[] = [
  {
    alert: 'TrainingStalled',
    when: 'a run that trains does no step',
    series: [inState('training'), ofRun('last_step_age_seconds', '0+60x20')],
    at: '14m',
    fires: [process_, 'team/a has done no step for 14m 0s'],
  },
  {
    alert: 'TrainingStalled',
    when: 'it validates for as long',
    series: [inState('validating'), ofRun('last_step_age_seconds', '0+60x20')],
    at: '14m',
  },
  {
    alert: 'TrainingStalled',
    when: 'workers do not come for an hour',
    series: [inState('waiting'), ofRun('last_step_age_seconds', '3000+60x20')],
    at: '14m',
    fires: [process_, 'team/a has done no step for 1h 4m 0s'],
  },
  {
    alert: 'TrainingNonFinite',
    when: 'the last word of a run is that its loss is no number',
    series: [ofRun('nonfinite_total', '0 0 1 stale'), withDice('1 1 1 stale')],
    at: '10m',
    fires: [{ ...process_, loss: 'dice' }, 'team/a ended: its loss, dice, or a gradient was no finite number'],
  },
  {
    alert: 'TrainingNonFinite',
    when: 'a run ends well',
    series: [ofRun('nonfinite_total', '0 0 0 stale'), withDice('1 1 1 stale')],
    at: '10m',
  },
  {
    alert: 'LossDiverging',
    when: 'the loss rises above that of the first epoch',
    series: [withDice(), ofRun('epoch', '1+1x20'), ofRun('loss_normalised_ratio', '1 0.5 0.2 1.2x20', { split: 'training' })],
    at: '9m',
    fires: [{ ...process_, loss: 'dice', split: 'training' }, 'team/a gets worse: dice is higher than after the first epoch'],
  },
  {
    alert: 'LossDiverging',
    when: 'it falls, and rises a little',
    series: [withDice(), ofRun('epoch', '1+1x20'), ofRun('loss_normalised_ratio', '1 0.5 0.2 0.9x20', { split: 'training' })],
    at: '9m',
  },
  {
    alert: 'LossDiverging',
    when: 'no epoch was better than the first',
    series: [withDice(), ofRun('epoch', '1+1x20')],
    at: '10m',
    fires: [{ ...process_, loss: 'dice' }, 'team/a gets worse: dice is higher than after the first epoch'],
  },
  {
    alert: 'StragglerWorker',
    when: 'one is late by two fifths of a step',
    series: [
      ...stepsOfTwoSeconds,
      ofRun('worker_info', '1x200', { rank: '0', worker: 'a-workers-0-abcde' }),
      workerOfRank1,
      ofRun('worker_lateness_seconds', '0x40', { rank: '0' }),
      ofRun('worker_lateness_seconds', '0.8x40', { rank: '1' }),
    ],
    at: '25m',
    fires: [{ ...process_, rank: '1', worker: 'a-workers-1-abcde' }, 'Rank 1 of team/a, a-workers-1-abcde, comes 800ms after the others'],
  },
  {
    alert: 'StragglerWorker',
    when: 'one is late by a quarter of a step',
    series: [...stepsOfTwoSeconds, workerOfRank1, ofRun('worker_lateness_seconds', '0.5x40', { rank: '1' })],
    at: '25m',
  },
  {
    alert: 'WorkerMissing',
    when: 'three of four train',
    series: [inState('training'), ofRun('workers', '3x20'), ofRun('workers_planned', '4x20')],
    at: '6m',
    fires: [process_, 'team/a has 3 workers, fewer than planned'],
  },
  {
    alert: 'WorkerMissing',
    when: 'they have gone because the run is over',
    series: [inState('succeeded'), ofRun('workers', '0x20'), ofRun('workers_planned', '4x20')],
    at: '6m',
  },
  {
    alert: 'WorkersKeepFailing',
    when: 'eight have hung',
    series: [ofRun('workers_lost_total', '0 0 0 2 4 6 8x40', { reason: 'hung' })],
    at: '30m',
    fires: [namespacedRun, 'team/a lost 8 workers within an hour'],
  },
  {
    alert: 'WorkersKeepFailing',
    when: 'eight have left in good order',
    series: [ofRun('workers_lost_total', '0 0 0 2 4 6 8x40', { reason: 'left' })],
    at: '30m',
  },
  {
    alert: 'RestartLoop',
    when: 'the fourth process in half an hour fails',
    series: restarted('failed'),
    at: '29m',
    fires: [namespacedRun, 'team/a was started again 4 times within an hour'],
  },
  { alert: 'RestartLoop', when: 'its node is taken away as often', series: restarted('preempted'), at: '29m' },
  {
    alert: 'CheckpointTooOld',
    when: 'there was one every ten minutes, and now none for forty',
    series: [
      inState('training'),
      ofRun('checkpoint_age_seconds', '0+60x60'),
      ofRun('elapsed_seconds', '3600+60x60'),
      ofRun('checkpoints_total', '10x60'),
    ],
    at: '40m',
    fires: [process_, 'team/a has written no checkpoint for 40m 0s'],
  },
  {
    alert: 'CheckpointTooOld',
    when: 'there was one every fifty minutes, and now none for forty',
    series: [
      inState('training'),
      ofRun('checkpoint_age_seconds', '0+60x60'),
      ofRun('elapsed_seconds', '3600+60x60'),
      ofRun('checkpoints_total', '2x60'),
    ],
    at: '40m',
  },
  {
    alert: 'CheckpointTooOld',
    when: 'there never was one',
    series: [inState('training'), ofRun('elapsed_seconds', '14000+60x60')],
    at: '20m',
    fires: [process_, 'team/a has written no checkpoint for 4h 13m 20s'],
  },
  {
    alert: 'CheckpointFailing',
    when: 'the last word of a run is that it could not write one',
    series: [ofRun('checkpoint_failures_total', '0 0 1 stale')],
    at: '10m',
    fires: [process_, 'team/a ended: it could not write a checkpoint'],
  },
  { alert: 'CheckpointFailing', when: 'that was an hour ago', series: [ofRun('checkpoint_failures_total', '0 0 1 stale')], at: '60m' },
  {
    alert: 'CheckpointUnverified',
    when: 'a day has gone by',
    series: [inState('training'), ofRun('checkpoint_verified_age_seconds', '86000+60x20')],
    at: '15m',
    fires: [process_, 'Nobody has read back a checkpoint of team/a for 1d 0h 8m 20s'],
  },
  {
    alert: 'CheckpointUnverified',
    when: 'the run has ended meanwhile',
    series: [inState('succeeded'), ofRun('checkpoint_verified_age_seconds', '86000+60x20')],
    at: '15m',
  },
  {
    alert: 'DataStarvation',
    when: 'half of the time of steps is waiting for data',
    series: [
      ofRun('phase_seconds_total', '0+20x40', { phase: 'data' }),
      ofRun('phase_seconds_total', '0+20x40', { phase: 'compute' }),
      ofRun('phase_seconds_total', '0+20x40', { phase: 'validation' }),
    ],
    at: '35m',
    fires: [process_, 'team/a spends 50% of its steps waiting for images'],
  },
  {
    alert: 'DataStarvation',
    when: 'a sixth of it is',
    series: [ofRun('phase_seconds_total', '0+10x40', { phase: 'data' }), ofRun('phase_seconds_total', '0+50x40', { phase: 'compute' })],
    at: '35m',
  },
  {
    alert: 'LowGoodput',
    when: 'half of more than an hour was of use',
    series: [inState('training'), ofRun('goodput_ratio', '0.5x100'), ofRun('elapsed_seconds', '3000+60x100')],
    at: '50m',
    fires: [process_, 'team/a has spent only 50% of its time in work that counts'],
  },
  {
    alert: 'LowGoodput',
    when: 'the run has just begun',
    series: [inState('training'), ofRun('goodput_ratio', '0.5x100'), ofRun('elapsed_seconds', '0+60x100')],
    at: '50m',
  },
  {
    alert: 'S3Errors',
    when: 'a tenth is answered by an error of the server',
    series: [
      ofRun('s3_requests_total', '0+90x40', { operation: 'get', outcome: 'ok' }),
      ofRun('s3_requests_total', '0+10x40', { operation: 'get', outcome: 'server' }),
    ],
    at: '30m',
    fires: [process_, '10% of the requests of team/a to object storage go wrong'],
  },
  {
    alert: 'S3Errors',
    when: 'objects are asked for that are not there',
    series: [
      ofRun('s3_requests_total', '0+90x40', { operation: 'get', outcome: 'ok' }),
      ofRun('s3_requests_total', '0+50x40', { operation: 'get', outcome: 'notFound' }),
    ],
    at: '30m',
  },
  {
    alert: 'AuthFailures',
    when: 'somebody without the key comes',
    series: [ofRun('connections_refused_total', '0x5 1x20', { reason: 'auth' })],
    at: '8m',
    fires: [namespacedRun, 'Somebody without the key tries to connect to the coordinator of team/a'],
  },
  {
    alert: 'AuthFailures',
    when: 'somebody does not speak the protocol',
    series: [ofRun('connections_refused_total', '0x5 1x20', { reason: 'protocol' })],
    at: '8m',
  },
  {
    alert: 'GpuIdleWhileAllocated',
    when: 'the GPU of a worker does nothing',
    series: [inState('training'), gpu('0x60')],
    at: '40m',
    fires: [{ ...namespacedRun, pod: 'a-workers-0-abcde' }, 'The GPU of pod team/a-workers-0-abcde has been idle for 20 minutes'],
  },
  { alert: 'GpuIdleWhileAllocated', when: 'it computes', series: [inState('training'), gpu('80x60')], at: '40m' },
  { alert: 'GpuIdleWhileAllocated', when: 'the run is over', series: [inState('succeeded'), gpu('0x60')], at: '40m' },
  {
    alert: 'SweepStuck',
    when: 'nothing comes from a trial that runs',
    series: [
      written('segfleet_sweep_last_event_age_seconds', onSweep, '3000+60x40'),
      written('segfleet_sweep_cells', { ...onSweep, state: 'running' }, '1x40'),
    ],
    at: '20m',
    fires: [onSweep, 'Sweep s has told of nothing for 1h 10m 0s'],
  },
  {
    alert: 'SweepStuck',
    when: 'all trials are done or were paused',
    series: [
      written('segfleet_sweep_last_event_age_seconds', onSweep, '3000+60x40'),
      written('segfleet_sweep_cells', { ...onSweep, state: 'running' }, '0x40'),
      written('segfleet_sweep_cells', { ...onSweep, state: 'paused' }, '3x40'),
    ],
    at: '20m',
  },
  {
    alert: 'SweepWaiting',
    when: 'a trial has no room, as two operators say',
    series: [1, 2].map(instance =>
      written('segfleet_operator_sweep_waiting_seconds', { ...operators, instance: String(instance), sweep: 'team/s' }, '0+60x80'),
    ),
    at: '70m',
    fires: [{ sweep: 'team/s' }, 'A trial of sweep team/s has waited 1h 10m 0s for room'],
  },
  {
    alert: 'SweepWaiting',
    when: 'it got room',
    series: [written('segfleet_operator_sweep_waiting_seconds', { ...operators, instance: '1', sweep: 'team/s' }, '0+60x59 0x40')],
    at: '70m',
  },
  {
    alert: 'OperatorNoLeader',
    when: 'of two neither leads',
    series: [leader('1', '1x5 0x30'), leader('2', '0x35')],
    at: '12m',
    fires: [operators, 'No operator in fleet leads'],
  },
  {
    alert: 'OperatorNoLeader',
    when: 'the only one is gone',
    series: [leader('1', '1x5 stale')],
    at: '12m',
    fires: [operators, 'No operator in fleet leads'],
  },
  { alert: 'OperatorNoLeader', when: 'another one leads now', series: [leader('1', '1x5 0x30'), leader('2', '0x5 1x30')], at: '12m' },
];

test('each alert has a case in which it fires, and one in which it does not', () => {
  for (const { name } of alerts) {
    const own = cases.filter(({ alert }) => alert === name);
    expect([name, own.some(({ fires }) => fires), own.some(({ fires }) => !fires)]).toEqual([name, true, true]);
  }
});

test.skipIf(!hasPrometheus())('they fire and are silent when they should, with labels and words that say which, when and why', () => {
  const rules = cases.map(({ alert, when, series, at, fires }): RuleCase => {
    const entry = alerts.find(({ name }) => name === alert)!;
    const { severity, description } = entry;
    const annotations = (summary: string) => ({ summary, description, runbook_url: runbookOf(entry) });
    return {
      name: `${alert}: ${when}`,
      series,
      alert: `Segfleet${alert}`,
      at,
      fires: fires ? [{ labels: { ...fires[0], severity }, annotations: annotations(fires[1]) }] : [],
    };
  });
  expect(wrongCases(join(root, alertsFile), rules, folder)).toBe('');
  expect(wrongCases(join(root, alertsFile), [{ ...rules[0], fires: [] }], folder)).toContain(rules[0].alert);
});

describe('the page of runbooks', () => {
  const page = readFileSync(join(root, runbooks), 'utf8');
  const sections = page.split(/^## /m).slice(1);

  test('has a section for each alert, in their order, and none for others', () => {
    expect(sections.map(section => section.slice(0, section.indexOf('\n')))).toEqual(alerts.map(({ name }) => name));
  });

  test('says what each means, what to look at and what to do', () => {
    for (const section of sections)
      expect(section.match(/^\*\*.*?\*\*/gm)).toEqual(['**What it means.**', '**What to look at.**', '**What to do.**']);
  });

  test('names commands that there are', () => {
    const words = [...page.matchAll(/`segfleet ([a-z]+(?: [a-z]+)?)/g)].map(([, command]) => command.replace(' ', ':'));
    expect(words.length).toBeGreaterThan(20);
    expect(words.filter(word => !(word in commands) && !(word.split(':')[0] in commands))).toEqual([]);
  });
});
