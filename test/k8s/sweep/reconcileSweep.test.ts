/**
 * What the operator decides of a sweep, trial by trial.
 */
import { describe, expect, test } from 'vitest';
import { annotations, labels } from '../../../k8s/names.ts';
import type { TrainingJob } from '../../../k8s/objects.ts';
import { accept } from '../../../k8s/policies/acceptance.ts';
import { makeStrategy } from '../../../trainer/search/strategies.ts';
import type { Decision, Trial } from '../../../trainer/search/strategy.ts';
import { jobOf } from '../../../trainer/sweep/cells.ts';
import { checkSweep } from '../../../trainer/sweep/sweepFile.ts';
import { metric, SweepWorld, trialOf } from '../../tools/sweepWorld.ts';
import { settings } from '../../tools/trainingJobs.ts';

const conditionOf = ({ status }: SweepWorld, type: string) => status.conditions?.find(condition => condition.type === type);

describe('trials', () => {
  test('are the jobs that sweep run would run, with what the search has to remember on them', () => {
    const world = new SweepWorld({ replicates: { count: 2 } });
    world.reconcile();
    expect(world.names).toEqual(['gammas-0000-r1']);
    const job = world.job('gammas-0000-r1');
    expect(job.metadata).toMatchObject({
      namespace: 'team',
      labels: { team: 'vision', [labels.sweep]: 'gammas', [labels.trial]: '0', [labels.replicate]: '1' },
      annotations: { [annotations.objective]: metric, [annotations.parameters]: '{"loss.gamma":0.1,"loss.name":"adaptiveLog"}' },
      ownerReferences: [{ kind: 'Sweep', name: 'gammas', uid: 'sweep-uid', controller: true, blockOwnerDeletion: true }],
    });
    const { apiVersion, kind, metadata, spec } = world.sweep;
    const local = checkSweep({ apiVersion, kind, metadata: { name: metadata.name }, spec }, 'sweep.yaml');
    expect(job.spec).toEqual(jobOf(local, { 'loss.gamma': 0.1, 'loss.name': 'adaptiveLog' }, 0, 1, {}).given.spec);
    expect(job.spec.loss).toEqual({ name: 'adaptiveLog', gamma: 0.1 });
    expect(accept(job as TrainingJob, settings)).not.toHaveProperty('refusal');
  });

  test('start one after the other, as many at a time as the sweep says', () => {
    const world = new SweepWorld();
    world.settle();
    expect(world.names).toEqual(['gammas-0000', 'gammas-0001']);
    expect(world.status).toMatchObject({
      phase: 'Running',
      progress: '0/4',
      trials: { total: 4, pending: 2, running: 2, succeeded: 0, failed: 0, stopped: 0, reused: 0 },
    });
    world.succeed('gammas-0001', 0.5, 0.7, 0.6, 0.65);
    expect(world.settle()).toEqual([]);
    expect(world.busy).toEqual(['gammas-0000', 'gammas-0002']);
    expect(world.status).toMatchObject({
      progress: '1/4',
      best: { job: 'gammas-0001', value: '0.7000', parameters: { 'loss.gamma': 0.2 } },
    });
  });

  test('end with the best of them, and the sweep with them', () => {
    const world = new SweepWorld();
    world.settle();
    for (const [i, value] of [0.5, 0.8, 0.8, 0.6].entries()) {
      world.succeed(`gammas-000${i}`, value);
      if (i < 3) world.settle();
    }
    world.wait(60);
    expect(world.settle()).toEqual(['Finished']);
    expect(world.status).toMatchObject({
      phase: 'Succeeded',
      progress: '4/4',
      best: { job: 'gammas-0001', value: '0.8000' },
      completionTime: '2026-11-26T10:01:00Z',
    });
    expect(conditionOf(world, 'Complete')).toMatchObject({
      status: 'True',
      message: 'all trials have been chosen; the best of them is gammas-0001 with 0.8000',
    });
    const { create, apply, status, events } = world.decide();
    expect({ create, apply, events }).toEqual({ create: [], apply: [], events: [] });
    expect(status).toEqual(world.status);
  });

  test('are told to the search as the mean of their replicates, and only where all have got so far', () => {
    const world = new SweepWorld({ replicates: { count: 2 }, limits: { parallelTrials: 2 }, objective: { metric, target: 0.75 } });
    world.settle();
    expect(world.names).toEqual(['gammas-0000-r1', 'gammas-0000-r2']);
    expect(world.job('gammas-0000-r2').spec.seed).toBe((world.job('gammas-0000-r1').spec.seed ?? 1) + 1);
    world.succeed('gammas-0000-r1', 0.9).settle();
    // It would have reached the target alone.
    expect(world.status.phase).toBe('Running');
    world.succeed('gammas-0000-r2', 0.5).settle();
    expect(world.status).toMatchObject({ phase: 'Running', best: { job: 'gammas-0000-r1', value: '0.7000' } });
    world.succeed('gammas-0001-r1', 0.8).succeed('gammas-0001-r2', 0.7);
    world.settle();
    expect(world.status).toMatchObject({ phase: 'Succeeded', best: { job: 'gammas-0001-r1', value: '0.7500' } });
  });

  test('that were deleted are made again with the same choice', () => {
    const world = new SweepWorld();
    world.settle();
    world.succeed('gammas-0000', 0.5).settle();
    expect(world.names).toEqual(['gammas-0000', 'gammas-0001', 'gammas-0002']);
    const before = world.parametersOf('gammas-0001');
    world.jobs.delete('gammas-0001');
    world.settle();
    expect(world.busy).toEqual(['gammas-0002', 'gammas-0001']);
    expect(world.parametersOf('gammas-0001')).toEqual(before);
  });

  test('go on in the stage after the best of the stage before', () => {
    const world = new SweepWorld({
      method: 'staged',
      parameters: { 'loss.name': { value: 'adaptiveLog' }, 'loss.gamma': { value: 0.1 } },
      stages: [
        { name: 'omega', parameters: { 'loss.omega': { values: [8, 10] } } },
        { name: 'gamma', fixFrom: 'omega.best', parameters: { 'loss.gamma': { values: [0.1, 0.3] } } },
      ],
    });
    world.settle();
    expect(world.status).toMatchObject({ stage: 'omega', trials: { total: 2 } });
    world.succeed('gammas-0000', 0.5).settle();
    expect(world.names).toHaveLength(2);
    world.succeed('gammas-0001', 0.6).settle();
    expect(world.status).toMatchObject({ stage: 'gamma', trials: { total: 4, running: 2 } });
    expect(world.parametersOf('gammas-0003')).toEqual({ 'loss.name': 'adaptiveLog', 'loss.omega': 10, 'loss.gamma': 0.3 });
    world.succeed('gammas-0002', 0.6).succeed('gammas-0003', 0.7).settle();
    expect(world.status).toMatchObject({ phase: 'Succeeded', best: { job: 'gammas-0003' } });
  });
});

describe('the end', () => {
  test('comes when the target is reached: what still runs is stopped, and keeps what it has shown', () => {
    const world = new SweepWorld({ objective: { metric, target: 0.8 } });
    world.settle();
    world.shows('gammas-0000', 0.4).succeed('gammas-0001', 0.81);
    world.reconcile();
    expect(world.plan!.apply).toMatchObject([{ metadata: { name: 'gammas-0000' }, spec: { suspend: true } }]);
    // Its pods are not gone yet.
    expect(world.status.phase).toBe('Running');
    world.obey('gammas-0000');
    world.settle();
    expect(world.busy).toEqual([]);
    expect(world.status).toMatchObject({ phase: 'Succeeded', trials: { total: 2, succeeded: 1, stopped: 1 }, best: { value: '0.8100' } });
    expect(world.job('gammas-0000').metadata.annotations![annotations.stopped]).toBe('trial 1 has reached objective.target, 0.8');
  });

  test('comes with too many failed trials: what still runs is stopped', () => {
    const world = new SweepWorld({ limits: { parallelTrials: 2, maxFailedTrials: 0 } });
    world.settle();
    world.fail('gammas-0000');
    expect(world.settle()).toEqual(['TrialFailed', 'TooManyFailedTrials']);
    expect(world.busy).toEqual([]);
    expect(world.names).toHaveLength(2);
    expect(world.status).toMatchObject({ phase: 'Failed', trials: { failed: 1, stopped: 1, running: 0 } });
    expect(conditionOf(world, 'Failed')!.message).toMatch(/more than limits.maxFailedTrials, 0: 1 of 2 trials failed.*loss.gamma=0.1/);
  });

  test('is Partial where some trials failed, and none of these is chosen again', () => {
    const world = new SweepWorld({ limits: { parallelTrials: 4 } });
    world.settle();
    world.fail('gammas-0000').succeed('gammas-0001', 0.4).succeed('gammas-0002', 0.5).succeed('gammas-0003', 0.3);
    expect(world.settle()).toEqual(['TrialFailed', 'SomeTrialsFailed']);
    expect(world.names).toHaveLength(4);
    expect(world.status).toMatchObject({ phase: 'Partial', trials: { failed: 1, succeeded: 3 }, best: { job: 'gammas-0002' } });
  });

  test('counts a trial that ends without telling its value as failed', () => {
    const world = new SweepWorld({ parameters: { seed: { values: [1] } } });
    world.settle();
    world.report('gammas-0000', { phase: 'Succeeded', exitCode: 0 });
    world.settle();
    expect(world.status).toMatchObject({ phase: 'Failed', trials: { failed: 1 } });
    expect(conditionOf(world, 'Failed')!.message).toContain('gammas-0000 has ended without telling validation/jaccard');
  });

  test('comes with the deadline, however little has happened', () => {
    const world = new SweepWorld({ limits: { parallelTrials: 2, deadline: '2h' } });
    world.settle();
    expect(world.plan!.requeueAfterMs).toBe(7_200_000);
    world.shows('gammas-0000', 0.5).wait(7200);
    expect(world.settle()).toEqual(['DeadlineExceeded']);
    expect(world.busy).toEqual([]);
    expect(world.status).toMatchObject({ phase: 'Partial', trials: { stopped: 2 }, best: { job: 'gammas-0000', value: '0.5000' } });
  });

  test('comes when the GPU hours are used up', () => {
    const world = new SweepWorld({
      base: { spec: { data: { path: 's3://d/n' }, pod: { gpus: 2 }, workers: { replicas: 2 } } },
      parameters: { seed: { values: [1, 2, 3] } },
      limits: { parallelTrials: 1, maxGpuHours: 8 },
    });
    world.settle();
    expect(world.plan!.requeueAfterMs).toBe(60_000);
    // 2 GPUs, 2 workers, 1 h.
    world.succeed('gammas-0000', 0.5).report('gammas-0000', { activeSeconds: 3600 }).settle();
    expect(world.busy).toEqual(['gammas-0001']);
    world.report('gammas-0001', { activeSince: '2026-11-26T10:00:00Z' }).wait(3599).settle();
    expect(world.status.phase).toBe('Running');
    expect(world.wait(1).settle()).toEqual(['GpuHoursUsedUp']);
    expect(world.busy).toEqual([]);
  });

  test('stops a trial whose values are below the median', () => {
    const values = [1, 2, 3, 4];
    const world = new SweepWorld({
      parameters: { seed: { values } },
      earlyStop: { type: 'median', minTime: 2 },
      limits: { parallelTrials: 4 },
    });
    world.settle();
    for (const i of [0, 1, 2]) world.succeed(`gammas-000${i}`, 0.5, 0.6, 0.7, 0.7);
    world.shows('gammas-0003', 0.1).settle();
    expect(world.busy).toEqual(['gammas-0003']);
    world.shows('gammas-0003', 0.1, 0.2).settle();
    expect(world.busy).toEqual([]);
    expect(world.status).toMatchObject({ phase: 'Succeeded', trials: { succeeded: 3, stopped: 1 } });
  });
});

describe('a search that pauses', () => {
  const seeds = { seed: { values: [1, 2, 3, 4] } };
  const halving = {
    method: 'asha',
    parameters: seeds,
    // Rungs at the first and the second of four epochs.
    earlyStop: { type: 'asha', minTime: 1, reductionFactor: 2 },
    limits: { parallelTrials: 2, maxTrials: 4 },
  };
  const untilOf = (world: SweepWorld, name: string) => world.job(name).metadata.annotations![annotations.until];

  test('lets trials rest, and the best of them go on; what a trial shows before its pods are gone does not count', () => {
    const world = new SweepWorld(halving);
    world.settle();
    expect(world.names.map(name => untilOf(world, name))).toEqual(['1', '1']);
    world.shows('gammas-0000', 0.5, 0.9).shows('gammas-0001', 0.7);
    world.reconcile();
    expect(world.plan!.apply).toMatchObject(['gammas-0000', 'gammas-0001'].map(name => ({ metadata: { name }, spec: { suspend: true } })));
    // Their pods are there.
    expect(world.plan!.create).toEqual([]);
    for (const name of world.names) world.obey(name);
    world.settle();
    expect(world.busy).toEqual(['gammas-0001', 'gammas-0002']);
    expect([untilOf(world, 'gammas-0000'), untilOf(world, 'gammas-0001')]).toEqual(['1', '2']);
    expect(world.status).toMatchObject({ trials: { total: 4, running: 3, pending: 1 }, best: { job: 'gammas-0001', value: '0.7000' } });
  });

  test('goes on from rest when the sweep was suspended meanwhile', () => {
    const world = new SweepWorld(halving);
    world.settle();
    world.shows('gammas-0000', 0.5).shows('gammas-0001', 0.7).settle();
    world.edit(spec => Object.assign(spec, { suspend: true })).settle();
    expect(world.busy).toEqual([]);
    world.edit(spec => Object.assign(spec, { suspend: false })).settle();
    expect(world.busy).toEqual(['gammas-0001', 'gammas-0002']);
  });

  test('takes a trial that came to its end before it could rest as one that rests there, and has its end when it goes on', () => {
    const world = new SweepWorld({ ...halving, limits: { parallelTrials: 1, maxTrials: 2 } });
    world.settle();
    world.succeed('gammas-0000', 0.6, 0.7, 0.8, 0.9).settle();
    expect(world.status.trials).toMatchObject({ succeeded: 0, running: 2 });
    world.succeed('gammas-0001', 0.5, 0.95, 0.95, 0.95).settle();
    expect(world.status).toMatchObject({
      phase: 'Succeeded',
      trials: { succeeded: 1, stopped: 1 },
      best: { job: 'gammas-0000', value: '0.9000' },
    });
  });

  test.each<[string, Record<string, unknown>]>([
    ['asha', { ...halving, limits: { parallelTrials: 1, maxTrials: 4 } }],
    ['hyperband', { method: 'hyperband', parameters: seeds, hyperband: { maxTime: 4, eta: 2 }, limits: { parallelTrials: 1 } }],
  ])('%s: the same trials go as far as they do here', (_, spec) => {
    const valueAt = (trial: number, epoch: number) => ((trial * 37) % 11) / 20 + epoch / 100;
    const world = new SweepWorld(spec);
    for (let round = 0; world.status.completionTime === undefined; round++) {
      expect(round).toBeLessThan(50);
      world.settle();
      for (const name of world.busy) {
        // Two epochs more than it should.
        const epochs = Math.min(4, Number(untilOf(world, name) ?? 4) + 2);
        const values = Array.from({ length: epochs }, (_, i) => valueAt(trialOf(world.job(name) as TrainingJob), i + 1));
        if (epochs === 4) world.succeed(name, ...values);
        else world.shows(name, ...values);
      }
    }
    const { apiVersion, kind, metadata, spec: given } = world.sweep;
    const loaded = checkSweep({ apiVersion, kind, metadata: { name: metadata.name }, spec: given }, 'sweep.yaml');
    const strategy = makeStrategy(loaded.spec, { maxTime: 4 });
    const trials: Trial[] = [];
    for (let isOver = false; !isOver; ) {
      for (const { do: what, ...decision } of strategy(trials, 1) as (Decision & { trial: number; parameters: never; until?: number })[]) {
        if (what === 'finish') isOver = true;
        else if (what === 'stop') trials[decision.trial] = { ...trials[decision.trial], state: 'stopped' };
        else {
          const { until } = decision;
          const { parameters, group } = { ...trials[decision.trial], ...decision } as Trial;
          const number = what === 'start' ? trials.length : decision.trial;
          const reports = Array.from({ length: until ?? 4 }, (_, i) => ({ time: i + 1, value: valueAt(number, i + 1) }));
          trials[number] = { number, parameters, group, until, reports, state: until === undefined ? 'succeeded' : 'paused' };
        }
      }
    }
    expect(world.names.map(name => untilOf(world, name) ?? 'the end')).toEqual(trials.map(({ until }) => String(until ?? 'the end')));
    expect(world.names.map(name => world.parametersOf(name))).toEqual(trials.map(({ parameters }) => parameters));
    expect(new Set(trials.map(({ until }) => until)).size).toBeGreaterThan(2);
    expect(world.status.trials).toMatchObject({
      succeeded: trials.filter(({ state }) => state === 'succeeded').length,
      running: 0,
      failed: 0,
    });
    expect(world.status.trials!.total).toBe(trials.length);
  });
});

describe('suspension', () => {
  test('suspends what runs, starts nothing, and lets the same trials go on', () => {
    const world = new SweepWorld();
    world.settle();
    world.edit(spec => Object.assign(spec, { suspend: true }));
    expect(world.settle()).toEqual(['Suspending', 'Suspended']);
    expect(world.busy).toEqual([]);
    expect(world.status).toMatchObject({ phase: 'Suspended', trials: { running: 0, pending: 4 } });
    world.edit(spec => Object.assign(spec, { suspend: false }));
    expect(world.settle()).toEqual(['Resumed']);
    expect(world.busy).toEqual(['gammas-0000', 'gammas-0001']);
    expect(world.names).toHaveLength(2);
  });

  test('is not the end, though all trials were chosen and none of them has pods', () => {
    const world = new SweepWorld({ limits: { parallelTrials: 4 } });
    world.settle();
    expect(world.names).toHaveLength(4);
    world.edit(spec => Object.assign(spec, { suspend: true })).settle();
    expect(world.status).toMatchObject({ phase: 'Suspended', trials: { total: 4, pending: 4 } });
    expect(world.status).not.toHaveProperty('completionTime');
  });

  test('leaves alone what somebody else has suspended', () => {
    const world = new SweepWorld();
    world.settle();
    world.job('gammas-0000').spec.suspend = true;
    world.obey('gammas-0000');
    world.edit(spec => Object.assign(spec, { suspend: true })).settle();
    world.edit(spec => Object.assign(spec, { suspend: false })).settle();
    expect(world.busy).toEqual(['gammas-0001']);
    expect(world.job('gammas-0000').spec.suspend).toBe(true);
  });
});

describe('quota', () => {
  const message = 'the ResourceQuota gpus of the namespace is used up';

  test('holds back one trial, not all of them, and is told', () => {
    const world = new SweepWorld({ limits: { parallelTrials: 4 } });
    world.reconcile();
    world.obey('gammas-0000');
    world.reconcile();
    expect(world.names).toEqual(['gammas-0000', 'gammas-0001']);
    world.lacks('gammas-0001', 'QuotaExceeded', message);
    expect(world.settle({ starts: false })).toEqual(['QuotaExceeded']);
    expect(world.names).toHaveLength(2);
    expect(conditionOf(world, 'Waiting')).toMatchObject({ status: 'True', reason: 'QuotaExceeded', message: `gammas-0001: ${message}` });
    world.succeed('gammas-0000', 0.5).report('gammas-0001', { phase: 'Running', conditions: [] });
    world.reconcile();
    expect(world.names).toEqual(['gammas-0000', 'gammas-0001', 'gammas-0002']);
    expect(conditionOf(world, 'Waiting')).toMatchObject({ status: 'False', reason: 'NothingWaits' });
  });

  test('of jobs is told too, and the trial is tried again', () => {
    const world = new SweepWorld();
    world.rejected = { name: 'gammas-0000', message: 'exceeded quota: jobs' };
    const { create, status } = world.decide();
    expect(create).toMatchObject([{ metadata: { name: 'gammas-0000' } }]);
    expect(status.conditions).toContainEqual(
      expect.objectContaining({ type: 'Waiting', status: 'True', message: 'gammas-0000 cannot be made: exceeded quota: jobs' }),
    );
  });
});

describe('refusal', () => {
  test.each<[string, Record<string, unknown>, string | RegExp]>([
    [
      'a metric that no run reports',
      { objective: { metric: 'validation/jacard' } },
      /which no run reports; did you mean validation\/jaccard\?/,
    ],
    ['a metric in the wrong direction', { objective: { metric: 'validation/loss' } }, 'write goal: minimize'],
    ['a parameter that is none', { parameters: { 'loss.gama': { values: [1] } } }, 'loss.gama'],
    ['a job that no cluster can run', { base: { spec: { data: { path: 'data' } } } }, /data.path is data, and file: URLs need a volume/],
    ['a choice that makes no job', { parameters: { 'training.batch': { values: [8, -1] } } }, 'training.batch is -1'],
    [
      'trials that are deleted before their time',
      { base: { spec: { data: { path: 's3://d/n' }, ttlSecondsAfterFinished: 60 } } },
      'ttlSecondsAfterFinished would delete it',
    ],
    [
      'a population',
      { method: 'pbt', pbt: { population: 4, interval: 1, mutations: ['loss.gamma'] } },
      'the method pbt begins trials with the weights of others',
    ],
    ['time in steps', { earlyStop: { type: 'median', timeMetric: 'step' } }, 'by epoch; write epoch'],
  ])('tells of %s', (_, spec, sentence) => {
    const world = new SweepWorld(spec);
    expect(world.settle()).toEqual(['Refused']);
    expect(world.names).toEqual([]);
    expect(world.status.phase).toBe('Failed');
    expect(conditionOf(world, 'Accepted')).toMatchObject({ status: 'False', reason: 'Refused' });
    expect(conditionOf(world, 'Accepted')!.message).toMatch(sentence);
    expect(world.settle()).toEqual([]);
  });

  test('of what is changed after trials have begun lets these come to their end', () => {
    const world = new SweepWorld();
    world.settle();
    // As an older operator took it.
    world.edit(spec => Object.assign(spec, { method: 'pbt', pbt: { population: 4, interval: 1, mutations: ['loss.gamma'] } }));
    expect(world.settle()).toEqual(['Refused']);
    expect(world.busy).toHaveLength(2);
    expect(world.status.phase).toBe('Running');
    for (const name of world.names) world.succeed(name, 0.5);
    world.settle();
    expect(world.status.phase).toBe('Failed');
  });
});
