import { expect, test } from 'vitest';
import type { Progress } from '../../coordinator/progress.ts';
import { labels } from '../../k8s/names.ts';
import { reconcile } from '../../k8s/reconcile.ts';
import { isIdle, SimulatedCluster } from '../tools/simulatedCluster.ts';
import { settings, trainingJob } from '../tools/trainingJobs.ts';

const kindsOf = (objects: readonly { kind: string; metadata: { name: string } }[]) =>
  objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);

const shared = { workers: { replicas: 2, max: 4 } };

const progress: Progress = {
  ...{ run: 'nuclei', phase: 'training', workers: 2, expected: 2, generation: 1, epoch: 3, epochs: 50, step: 130, steps: 3250 },
  loss: { name: 'adaptiveLog(dice)', value: 0.123_45 },
  metric: { name: 'jaccard', value: 0.79, best: 0.811_36 },
  etaSeconds: 4810,
  checkpoint: { step: 65, epoch: 1, at: '2026-11-26T10:04:00Z' },
};

const result = { result: { steps: 3250, bestEpoch: 41, jaccard: 0.834_41, weightsDigest: 'sha256:ab' } };

test('a job is accepted, then its children are made, then its Jobs, then it runs to its end', () => {
  const cluster = new SimulatedCluster(trainingJob(shared));

  const first = cluster.reconcile();
  expect(kindsOf([...first.create, ...first.apply])).toEqual([]);
  expect(first.events).toEqual([
    { type: 'Normal', reason: 'Accepted', message: '4 lanes, at most 4 workers, checkpoints in s3://runs/models/team/nuclei-0d9f4b1c' },
  ]);
  expect(cluster.status).toMatchObject({
    ...{ phase: 'Pending', lanes: 4, maxWorkers: 4, workers: 0, observedGeneration: 1 },
    selector: 'segfleet.dev/job=nuclei,segfleet.dev/component=worker',
  });

  const second = cluster.reconcile();
  expect(kindsOf(second.create)).toEqual(['ConfigMap nuclei-job', 'Secret nuclei-keys']);
  expect(kindsOf(second.apply)).toEqual([
    'Service nuclei-coordinator',
    'NetworkPolicy nuclei-network',
    'PodDisruptionBudget nuclei-workers',
  ]);

  const third = cluster.reconcile();
  expect(kindsOf(third.create)).toEqual(['Job nuclei-coordinator', 'Job nuclei-workers']);
  expect(third.apply).toEqual([]);

  expect(cluster.live()).toEqual([]);
  expect(cluster.status).toMatchObject({ phase: 'Pending', startTime: '2026-11-26T10:00:00Z', activeSince: '2026-11-26T10:00:00Z' });
  expect(cluster.condition('PodsReady')).toEqual({
    ...{ status: 'False', reason: 'PodsStarting', message: '0 of 2 workers run, and the coordinator does not yet' },
  });

  cluster.start(cluster.coordinatorPod());
  expect(cluster.settle()).toEqual([]);
  expect(cluster.status.phase).toBe('Starting');
  expect(cluster.condition('PodsReady')?.message).toBe('the coordinator and 0 of 2 workers run');

  // workers.min is 1: the run goes on with one of two.
  cluster.start(cluster.worker(0));
  expect(cluster.settle()).toEqual(['Started']);
  expect(cluster.status).toMatchObject({ phase: 'Running', workers: 1 });
  cluster.start(cluster.worker(1));
  expect(cluster.settle()).toEqual([]);
  expect(cluster.condition('PodsReady')).toEqual({
    status: 'True',
    reason: 'PodsReady',
    message: 'the coordinator and 2 of 2 workers run',
  });

  cluster.progress = progress;
  const told = cluster.wait(60).reconcile();
  expect(cluster.status).toMatchObject({
    ...{ epoch: 3, epochs: 50, step: 130, steps: 3250, progress: '3/50', loss: '0.1235', lossName: 'adaptiveLog(dice)', metric: '0.8114' },
    ...{ eta: '1h20m', checkpointStep: 65, checkpointTime: '2026-11-26T10:04:00Z' },
  });
  // Numbers alone can wait for their turn.
  expect(told.urgent).toBe(false);
  expect(isIdle(cluster.reconcile())).toBe(true);

  cluster.wait(3600).progress = { ...progress, phase: 'finishing', epoch: 50, step: 3250, etaSeconds: undefined };
  for (const worker of cluster.running('worker')) cluster.end(worker, 0);
  expect(cluster.live()).toEqual([]);
  expect(cluster.status).toMatchObject({ phase: 'Running', workers: 0 });
  expect(cluster.condition('PodsReady')).toEqual({
    status: 'True',
    reason: 'PodsReady',
    message: 'the coordinator runs, and the workers are done',
  });

  cluster.end(cluster.coordinatorPod(), 0, { message: result });
  expect(cluster.live()).toEqual(['Completed']);
  expect(cluster.status).toMatchObject({
    ...{
      phase: 'Succeeded',
      exitCode: 0,
      weightsDigest: 'sha256:ab',
      metric: '0.8344',
      progress: '50/50',
      completionTime: '2026-11-26T11:01:00Z',
    },
    activeSeconds: 3660,
  });
  expect(cluster.status).not.toHaveProperty('eta');
  expect(cluster.status).not.toHaveProperty('activeSince');
  expect(cluster.condition('Complete')).toEqual({
    ...{ status: 'True', reason: 'Completed', message: 'the run has ended after 3250 steps, with a validation Jaccard of 0.8344' },
  });
  expect(isIdle(cluster.wait(86_400).reconcile())).toBe(true);
  expect(cluster.said.map(({ reason }) => reason)).toEqual(['Accepted', 'Started', 'Completed']);
});

test('an operator that is started again says nothing twice and does nothing twice', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.end(cluster.worker(1), 139);
  cluster.live();
  // All that it knows of before is the status.
  const again = reconcile(cluster.observed(), { ...cluster.context, now: new Date(cluster.now.getTime() + 1000) });
  expect(isIdle(again)).toBe(true);
  expect(again.status).toEqual(cluster.status);
  expect(again.urgent).toBe(false);
});

test('scaling changes the size of the Job of the workers, and nothing else', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  const before = structuredClone(cluster.workers!);
  const pods = cluster.running('worker').map(({ metadata }) => metadata.uid);

  cluster.edit(spec => Object.assign(spec, { workers: { replicas: 3, max: 4 } }));
  const plan = cluster.reconcile();
  expect(kindsOf(plan.apply)).toEqual(['Job nuclei-workers']);
  expect(plan.apply[0]).toEqual({
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'nuclei-workers', namespace: 'team', uid: before.metadata.uid },
    spec: { parallelism: 3, completions: 3, suspend: false },
  });
  expect(plan.events).toEqual([{ type: 'Normal', reason: 'WorkersScaled', message: 'from 2 to 3 workers; those that stay go on' }]);
  cluster.live();
  expect(cluster.condition('PodsReady')?.message).toBe('the coordinator and 2 of 3 workers run');
  // What the run began with stays: lanes, and the file that new pods read.
  expect(cluster.status).toMatchObject({ lanes: 4, maxWorkers: 4, phase: 'Running' });
  expect(cluster.workers!.spec.template).toEqual(before.spec.template);
  cluster.startAll().settle();
  expect(cluster.running('worker').map(({ metadata }) => metadata.uid)).toEqual(expect.arrayContaining(pods));

  cluster.edit(spec => Object.assign(spec, { workers: { replicas: 1, max: 4 } }));
  expect(cluster.live()).toEqual(['WorkersScaled']);
  expect(cluster.worker(0).metadata.deletionTimestamp).toBeUndefined();
  // The others leave as they are told to; nothing is held against the job.
  cluster.reap(75).live();
  expect(cluster.running('worker').map(({ metadata }) => metadata.uid)).toEqual([pods[0]]);
  expect(cluster.status).toMatchObject({ phase: 'Running', workers: 1 });
  expect(cluster.status).not.toHaveProperty('restarts');
});

test('more workers than were accepted do not come, even if the API server lets them be asked for', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.edit(spec => Object.assign(spec, { workers: { replicas: 9 } }));
  cluster.live();
  expect(cluster.workers!.spec).toMatchObject({ parallelism: 4, completions: 4 });
  expect(cluster.status).toMatchObject({ lanes: 4, maxWorkers: 4 });
});

test('a job is suspended, all of it at once, and goes on from its checkpoint', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.progress = progress;
  cluster.wait(100).settle();
  cluster.edit(spec => Object.assign(spec, { suspend: true }));
  expect(cluster.live()).toEqual(['Suspending']);
  expect(cluster.status).toMatchObject({ phase: 'Suspending', activeSeconds: 100 });
  expect(cluster.status).not.toHaveProperty('activeSince');
  expect(cluster.coordinator!.spec.suspend).toBe(true);
  expect(cluster.coordinatorPod().metadata.deletionTimestamp).toBeDefined();
  expect(cluster.workers!.spec.suspend).toBe(true);
  expect(cluster.running('worker').every(({ metadata }) => metadata.deletionTimestamp !== undefined)).toBe(true);

  cluster.progress = undefined;
  cluster.reap(75);
  expect(cluster.live()).toEqual(['Suspended']);
  expect(cluster.running()).toEqual([]);
  expect(cluster.status).toMatchObject({ phase: 'Suspended', workers: 0, progress: '3/50', checkpointStep: 65 });
  expect(cluster.status).not.toHaveProperty('restarts');
  expect(cluster.status).not.toHaveProperty('eta');
  expect(cluster.condition('Suspended')).toMatchObject({ status: 'True' });
  expect(isIdle(cluster.wait(7200).reconcile())).toBe(true);

  cluster.edit(spec => Object.assign(spec, { suspend: false }));
  expect(cluster.live()).toEqual(['Resumed']);
  expect(cluster.coordinator!.spec.suspend).toBe(false);
  expect(cluster.workers!.spec.suspend).toBe(false);
  expect(cluster.condition('Suspended')).toMatchObject({ status: 'False', reason: 'Resumed' });
  cluster.startAll();
  expect(cluster.settle()).toEqual(['Started']);
  expect(cluster.status).toMatchObject({ phase: 'Running', activeSeconds: 100 });
});

test('workers that end with the coordinator before their own Job is told are not counted', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.edit(spec => Object.assign(spec, { suspend: true }));
  cluster.live();
  for (const worker of cluster.running('worker')) cluster.end(worker, 75);
  cluster.reap(75).live();
  expect(cluster.status.phase).toBe('Suspended');
  cluster.edit(spec => Object.assign(spec, { suspend: false }));
  cluster.live();
  cluster.startAll().settle();
  expect(cluster.status).not.toHaveProperty('restarts');
  expect(cluster.status).not.toHaveProperty('firstFailure');
  expect(cluster.said.map(({ reason }) => reason)).toEqual(['Accepted', 'Started', 'Suspending', 'Suspended', 'Resumed', 'Started']);
});

test('a job that is suspended from the start makes no Jobs until it is resumed', () => {
  const cluster = new SimulatedCluster(trainingJob({ suspend: true }));
  expect(cluster.live()).toEqual(['Accepted', 'Suspended']);
  expect(cluster.jobs.size).toBe(0);
  expect(cluster.status.phase).toBe('Suspended');
  expect(cluster.status).not.toHaveProperty('startTime');
  cluster.edit(spec => Object.assign(spec, { suspend: false }));
  expect(cluster.live()).toEqual(['Resumed']);
  expect(cluster.running()).toHaveLength(2);
});

test('scaling while suspended counts when the job goes on', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.edit(spec => Object.assign(spec, { suspend: true }));
  cluster.live();
  cluster.reap(75).live();
  cluster.reap(75).live();
  cluster.edit(spec => Object.assign(spec, { workers: { replicas: 3, max: 4 } }));
  cluster.live();
  expect(cluster.running()).toEqual([]);
  cluster.edit(spec => Object.assign(spec, { suspend: false }));
  cluster.live();
  expect(cluster.running('worker')).toHaveLength(3);
});

test('a fatal error ends the job: the failed pod and its log stay, nothing else holds anything', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  const pod = cluster.worker(1);
  const message = 'the loss is not a finite number at step 130; lower training.optimizer.learningRate';
  cluster.end(pod, 8, { message: { error: { code: 'diverged', exitCode: 8, message } } });
  expect(cluster.settle()).toEqual(['PodFailed', 'Failed']);
  expect(cluster.status).toMatchObject({
    ...{ phase: 'Failed', exitCode: 8 },
    firstFailure: { pod: pod.metadata.name, component: 'worker', node: 'node-1', cause: 'fatal', exitCode: 8, reason: 'diverged', message },
  });
  const sentence = `worker 1 (pod ${pod.metadata.name} on node node-1) ended with exit code 8 (diverged): ${message}`;
  expect(cluster.condition('Failed')).toEqual({ status: 'True', reason: 'Diverged', message: sentence });
  expect(cluster.said.at(-1)).toEqual({ type: 'Warning', reason: 'Failed', message: `Diverged: ${sentence}` });
  expect(cluster.plan?.needsLog).toBe(pod.metadata.name);

  cluster.log = { pod: pod.metadata.name, lines: 'step 129\nstep 130\n' };
  cluster.settle();
  expect(cluster.status.firstFailure?.log).toBe('step 129\nstep 130\n');
  expect(cluster.plan?.needsLog).toBeUndefined();

  // The coordinator may have a checkpoint to write; then the rest goes.
  cluster.live();
  expect(cluster.coordinator!.spec.activeDeadlineSeconds).toBe(1);
  cluster.wait(2).live();
  cluster.reap(75).live();
  cluster.wait(2).live();
  cluster.reap(75).live();
  expect(cluster.running()).toEqual([]);
  expect([...cluster.pods.keys()]).toEqual([pod.metadata.name]);
  expect(cluster.status).toMatchObject({ phase: 'Failed', exitCode: 8, workers: 0 });
  expect(isIdle(cluster.wait(3600).reconcile())).toBe(true);
});

test('what has ended has ended: a spec that changes starts nothing', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.end(cluster.coordinatorPod(), 3);
  cluster.live();
  cluster.wait(2).live();
  cluster.reap().live();
  cluster.edit(spec => Object.assign(spec, { suspend: true, workers: { replicas: 4, max: 4 }, restarts: { errors: 99 } }));
  cluster.live();
  cluster.edit(spec => Object.assign(spec, { suspend: false }));
  expect(cluster.live()).toEqual([]);
  expect(cluster.status).toMatchObject({ phase: 'Failed', exitCode: 3, observedGeneration: 3 });
  expect(cluster.running()).toEqual([]);
});

test('an error that may pass costs a restart, until there are too many', () => {
  const cluster = new SimulatedCluster(trainingJob({ ...shared, restarts: { errors: 2 } })).begin();
  const first = cluster.worker(0).metadata.name;
  for (let failures = 1; failures <= 2; failures++) {
    cluster.wait(300).end(cluster.worker(0), 139);
    expect(cluster.live()).toEqual(['PodFailed']);
    expect(cluster.status.restarts).toEqual({ errors: failures, outOfMemory: 0, disruptions: 0 });
    cluster.startAll().settle();
    expect(cluster.status.phase).toBe('Running');
  }
  cluster.wait(300).end(cluster.worker(0), 139);
  expect(cluster.live()).toEqual(['PodFailed', 'Failed']);
  expect(cluster.status).toMatchObject({ phase: 'Failed', exitCode: 1, firstFailure: { pod: first, reason: 'SIGSEGV' } });
  expect(cluster.condition('Failed')).toEqual({
    ...{ status: 'True', reason: 'RepeatedFailure' },
    message: `pods failed 3 times, and restarts.errors is 2; the first was a worker (pod ${first}, SIGSEGV): see status.firstFailure`,
  });
});

test('a coordinator whose node is drained is started again, and so are the workers that end with it', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  const [old] = cluster.running('coordinator');
  cluster.delete(old, 'EvictionByEvictionAPI');
  cluster.wait(5);
  for (const worker of cluster.running('worker')) cluster.end(worker, 75);
  cluster.reap(75);
  expect(cluster.live()).toEqual(['PodDisrupted']);
  expect(cluster.status.restarts).toEqual({ errors: 0, outOfMemory: 0, disruptions: 1 });
  expect(cluster.status).not.toHaveProperty('firstFailure');
  expect(cluster.running()).toHaveLength(3);
  expect(cluster.coordinatorPod().metadata.uid).not.toBe(old.metadata.uid);
  cluster.startAll();
  cluster.settle();
  expect(cluster.status.phase).toBe('Running');
});

test('a Job that somebody deletes is made again, a ConfigMap and a Secret too', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.jobs.delete('nuclei-workers');
  cluster.controlJobs();
  cluster.reap().live();
  cluster.live();
  cluster.startAll().settle();
  expect(cluster.status).toMatchObject({ phase: 'Running', workers: 2 });

  cluster.children.delete('ConfigMap/nuclei-job');
  cluster.children.delete('Service/nuclei-coordinator');
  cluster.live();
  expect([...cluster.children.keys()].toSorted()).toEqual([
    'ConfigMap/nuclei-job',
    'NetworkPolicy/nuclei-network',
    'PodDisruptionBudget/nuclei-workers',
    'Secret/nuclei-keys',
    'Service/nuclei-coordinator',
  ]);
  expect(cluster.status.phase).toBe('Running');
});

test('with new keys all pods are made again: old and new ones would not know each other', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  const old = cluster.running().map(({ metadata }) => metadata.uid);
  cluster.children.delete('Secret/nuclei-keys');
  cluster.live();
  // None while the old ones run: two coordinators would fight for the checkpoints.
  expect(cluster.jobs.size).toBe(0);
  expect(cluster.running().map(({ metadata }) => metadata.uid)).toEqual(old);
  cluster.reap().live();
  cluster.live();
  cluster.startAll().settle();
  const now = cluster.running().map(({ metadata }) => metadata.uid);
  expect(now).toHaveLength(3);
  expect(now.filter(uid => old.includes(uid))).toEqual([]);
  expect(cluster.status.phase).toBe('Running');
  expect(cluster.status).not.toHaveProperty('firstFailure');
});

test('time in which a job is active is limited; time in which it is suspended is free', () => {
  const cluster = new SimulatedCluster(trainingJob({ ...shared, activeDeadlineSeconds: 1000 })).begin();
  expect(cluster.plan?.requeueAfterMs).toBe(1_000_000);
  cluster.wait(600).edit(spec => Object.assign(spec, { suspend: true }));
  cluster.live();
  cluster.reap().live();
  cluster.reap().live();
  expect(cluster.status).toMatchObject({ phase: 'Suspended', activeSeconds: 600 });
  cluster.wait(100_000).edit(spec => Object.assign(spec, { suspend: false }));
  cluster.live();
  cluster.startAll().settle();
  expect(cluster.wait(399).settle()).toEqual([]);
  expect(cluster.plan?.requeueAfterMs).toBe(1000);
  expect(cluster.wait(1).settle()).toEqual(['Failed']);
  expect(cluster.status).toMatchObject({ phase: 'Failed', exitCode: 75, activeSeconds: 1000 });
  expect(cluster.condition('Failed')?.reason).toBe('DeadlineExceeded');
  expect(cluster.coordinator!.spec.activeDeadlineSeconds).toBe(1);
  expect(cluster.workers!.spec.activeDeadlineSeconds).toBe(1);
});

test('a job that has ended is deleted when its time is up, and no sooner', () => {
  const cluster = new SimulatedCluster(trainingJob({ ...shared, ttlSecondsAfterFinished: 600 })).begin();
  cluster.progress = { ...progress, phase: 'finishing' };
  for (const worker of cluster.running('worker')) cluster.end(worker, 0);
  cluster.end(cluster.coordinatorPod(), 0, { message: result });
  cluster.live();
  cluster.wait(599).settle();
  expect(cluster.plan?.requeueAfterMs).toBe(1000);
  const { uid } = cluster.job!.metadata;
  const plan = cluster.wait(1).reconcile();
  expect(plan.remove).toEqual([
    { apiVersion: 'segfleet.dev/v1alpha1', kind: 'TrainingJob', metadata: { name: 'nuclei', namespace: 'team', uid } },
  ]);
});

test('workers that do not end with the run are ended after a while', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.end(cluster.worker(0), 0);
  cluster.end(cluster.coordinatorPod(), 0, { message: result });
  expect(cluster.live()).toEqual(['Completed']);
  expect(cluster.running('worker')).toHaveLength(1);
  expect(cluster.plan?.requeueAfterMs).toBe(30_000);
  cluster.wait(30).live();
  cluster.wait(2).live();
  cluster.reap().live();
  expect(cluster.running()).toEqual([]);
  expect(cluster.status).toMatchObject({ phase: 'Succeeded', exitCode: 0 });
});

test('workers that have ended well are not missed, also before the coordinator says that it finishes', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  for (const worker of cluster.running('worker')) cluster.end(worker, 0);
  expect(cluster.live()).toEqual([]);
  expect(cluster.status.phase).toBe('Running');
  expect(cluster.condition('PodsReady')).toMatchObject({ status: 'True', message: 'the coordinator runs, and the workers are done' });
});

test('what becomes of workers while the coordinator finishes does not matter', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.progress = { ...progress, phase: 'finishing' };
  cluster.end(cluster.worker(0), 0).end(cluster.worker(1), 1);
  expect(cluster.live()).toEqual([]);
  expect(cluster.status.phase).toBe('Running');
  cluster.end(cluster.coordinatorPod(), 0, { message: result });
  expect(cluster.live()).toEqual(['Completed']);
});

test('a coordinator that begins after all workers have ended gets new ones', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.progress = { ...progress, phase: 'finishing' };
  for (const worker of cluster.running('worker')) cluster.end(worker, 0);
  cluster.live();
  const old = cluster.workers!.metadata.uid;
  cluster.progress = undefined;
  cluster.wait(60).end(cluster.coordinatorPod(), 137, { reason: 'OOMKilled' });
  cluster.live();
  cluster.start(cluster.coordinatorPod());
  cluster.live();
  expect(cluster.workers!.metadata.uid).not.toBe(old);
  expect(cluster.running('worker')).toHaveLength(2);
  expect(cluster.status.restarts).toEqual({ errors: 0, outOfMemory: 1, disruptions: 0 });
});

test('a coordinator on a node that does not answer is made anew elsewhere; workers only when too few are left', () => {
  const cluster = new SimulatedCluster(trainingJob({ workers: { replicas: 3, min: 2, max: 4 } })).begin();
  const { uid } = cluster.coordinator!.metadata;
  cluster.delete(cluster.coordinatorPod(), 'DeletionByTaintManager').delete(cluster.worker(2), 'DeletionByTaintManager');
  expect(cluster.live()).toEqual(['PodDisrupted']);
  // 60 s of grace, 60 s of patience.
  expect(cluster.plan?.requeueAfterMs).toBe(5000);
  cluster.wait(119).live();
  expect(cluster.coordinator!.metadata.uid).toBe(uid);
  cluster.wait(1).live();
  expect(cluster.coordinator!.metadata.uid).not.toBe(uid);
  cluster.startAll().settle();
  expect(cluster.status).toMatchObject({ phase: 'Running', workers: 2 });
  expect(cluster.condition('PodsReady')).toMatchObject({ status: 'False', reason: 'NodeLost' });
  expect(cluster.said.at(-2)).toMatchObject({ type: 'Warning', reason: 'NodeLost' });

  const workers = cluster.workers!.metadata.uid;
  cluster.delete(cluster.worker(1), 'DeletionByTaintManager');
  cluster.wait(60).live();
  expect(cluster.workers!.metadata.uid).toBe(workers);
  cluster.wait(60).live();
  expect(cluster.workers?.metadata.uid).not.toBe(workers);
  // The one that is left goes with its Job, and then there are three new ones.
  for (const pod of cluster.running('worker'))
    if (pod.spec.nodeName && pod.metadata.labels?.['batch.kubernetes.io/job-completion-index'] === '0') cluster.end(pod, 75);
  cluster.live();
  expect(cluster.running('worker').filter(({ metadata }) => metadata.deletionTimestamp === undefined)).toHaveLength(3);
});

test('a job that a cluster cannot run is refused with a sentence, and accepted once it can be', () => {
  const cluster = new SimulatedCluster(trainingJob({ data: { path: 'data/nuclei' } }));
  expect(cluster.live()).toEqual(['Refused']);
  const message =
    'data.path is data/nuclei, and file: URLs need a volume on a cluster: give an absolute path below the mountPath of one of pod.volumes, or s3://bucket/prefix';
  expect(cluster.status).toMatchObject({ phase: 'Failed', exitCode: 2, completionTime: '2026-11-26T10:00:00Z' });
  expect(cluster.condition('Accepted')).toEqual({ status: 'False', reason: 'Refused', message });
  expect(cluster.condition('Failed')).toEqual({ status: 'True', reason: 'Refused', message });
  expect([...cluster.children, ...cluster.jobs]).toEqual([]);
  expect(isIdle(cluster.wait(60).reconcile())).toBe(true);

  cluster.edit(spec => Object.assign(spec, { data: { path: 's3://data/nuclei' } }));
  expect(cluster.live()).toEqual(['Accepted']);
  expect(cluster.condition('Failed')).toBeUndefined();
  expect(cluster.status).not.toHaveProperty('exitCode');
  expect(cluster.status).not.toHaveProperty('completionTime');
  cluster.startAll().settle();
  expect(cluster.status.phase).toBe('Running');
});

test('an operator with stricter rules leaves a run alone that it would not have begun', () => {
  const cluster = new SimulatedCluster(trainingJob(shared)).begin();
  cluster.settings = { ...settings, store: undefined };
  expect(cluster.live()).toEqual(['Refused']);
  expect(cluster.status.phase).toBe('Running');
  expect(cluster.running()).toHaveLength(3);
  cluster.settings = settings;
  expect(cluster.live()).toEqual(['Accepted']);
});

test.each([
  ["somebody else's", trainingJob({ managedBy: 'kueue.x-k8s.io/multikueue' })],
  ['being deleted', trainingJob({}, { deletionTimestamp: '2026-11-26T09:59:00Z' })],
])('a job that is %s is left alone', (_, job) => {
  const cluster = new SimulatedCluster(job);
  expect(isIdle(cluster.reconcile())).toBe(true);
  expect(cluster.status).toEqual({});
});

test('in a queue of Kueue the workers wait for their turn, and the coordinator for them', () => {
  const job = trainingJob(shared, { labels: { [labels.queue]: 'gpus' } });
  const cluster = new SimulatedCluster(job);
  expect(cluster.live()).toEqual(['Accepted', 'Queued']);
  expect([...cluster.jobs.keys()]).toEqual(['nuclei-workers']);
  expect(cluster.workers!.metadata.labels?.[labels.queue]).toBe('gpus');
  expect(cluster.status.phase).toBe('Pending');
  expect(cluster.condition('PodsReady')).toMatchObject({ status: 'False', reason: 'Queued' });
  expect(cluster.status).not.toHaveProperty('startTime');
  cluster.wait(3600).live();

  // Admitted.
  cluster.workers!.spec.suspend = false;
  cluster.live();
  cluster.startAll().settle();
  expect(cluster.status).toMatchObject({ phase: 'Running', workers: 2, startTime: '2026-11-26T11:00:00Z' });
  expect(cluster.coordinator!.metadata.labels).not.toHaveProperty(labels.queue);

  // Preempted: whether it is suspended is Kueue's affair.
  cluster.wait(60).workers!.spec.suspend = true;
  cluster.live();
  cluster.reap().live();
  expect(cluster.workers!.spec.suspend).toBe(true);
  expect(cluster.coordinator!.spec.suspend).toBe(true);
  cluster.reap().live();
  expect(cluster.running()).toEqual([]);
  expect(cluster.status).toMatchObject({ phase: 'Pending', activeSeconds: 60 });
  expect(cluster.status).not.toHaveProperty('restarts');

  cluster.wait(1000).workers!.spec.suspend = false;
  cluster.live();
  cluster.startAll().settle();
  expect(cluster.status).toMatchObject({ phase: 'Running', activeSeconds: 60 });

  // Suspended by its user: the place in the queue is given back.
  cluster.edit(spec => Object.assign(spec, { suspend: true }));
  cluster.live();
  cluster.reap().live();
  expect(cluster.workers).toBeUndefined();
  cluster.reap().live();
  expect(cluster.status.phase).toBe('Suspended');
  cluster.edit(spec => Object.assign(spec, { suspend: false }));
  cluster.live();
  expect(cluster.workers!.spec.suspend).toBe(true);
  expect(cluster.status.phase).toBe('Pending');
});

test('where Kueue is not there its label changes nothing', () => {
  const cluster = new SimulatedCluster(trainingJob(shared, { labels: { [labels.queue]: 'gpus' } }));
  cluster.settle();
  cluster.workers!.spec.suspend = undefined;
  cluster.live();
  cluster.startAll().settle();
  expect(cluster.status.phase).toBe('Running');
});

test('what is wrong with pods is said once in an event, and in the condition as long as it lasts', () => {
  const cluster = new SimulatedCluster(trainingJob(shared));
  cluster.live();
  const pod = cluster.worker(0);
  cluster.start(cluster.coordinatorPod());
  const message = '0/2 nodes are available: 2 Insufficient nvidia.com/gpu.';
  pod.status = { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }] };
  expect(cluster.live()).toEqual(['Unschedulable']);
  const said = cluster.condition('PodsReady');
  expect(said).toMatchObject({ status: 'False', reason: 'Unschedulable' });
  expect(said?.message).toContain('GPUs');

  // Other words of Kubernetes for the same.
  pod.status = {
    phase: 'Pending',
    conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: message.replaceAll('2', '3') }],
  };
  const again = cluster.wait(60).reconcile();
  expect(again.events).toEqual([]);
  expect(cluster.condition('PodsReady')).toEqual(said);

  cluster.startAll();
  expect(cluster.settle()).toEqual(['Started']);
});

test('a missing Secret is found in events, which are asked for while a pod does not start', () => {
  const cluster = new SimulatedCluster(trainingJob(shared));
  cluster.live();
  const pod = cluster.coordinatorPod();
  pod.spec.nodeName = 'node-1';
  pod.status = {
    phase: 'Pending',
    containerStatuses: [{ name: 'coordinator', ready: false, restartCount: 0, state: { waiting: { reason: 'ContainerCreating' } } }],
  };
  cluster.settle();
  expect(cluster.plan?.needsEvents).toBe(false);
  expect(cluster.plan?.requeueAfterMs).toBe(5000);
  cluster
    .wait(6)
    .warn({ ...pod, kind: 'Pod' } as never, 'FailedMount', 'MountVolume.SetUp failed for volume "segfleet-aws" : secret "store" not found');
  expect(cluster.reconcile().needsEvents).toBe(true);
  expect(cluster.settle()).toEqual(['SecretMissing']);
  expect(cluster.condition('PodsReady')).toEqual({
    ...{ status: 'False', reason: 'SecretMissing' },
    message: `coordinator (pod ${pod.metadata.name}) waits for the Secret store, which is not there: create it in the namespace of the job, or name another one`,
  });
  // A look without events knows no better.
  expect(reconcile({ ...cluster.observed(), events: [] }, cluster.context).status).toEqual(cluster.status);
  cluster.startAll();
  expect(cluster.settle()).toEqual(['Started']);
});

test('names that are taken are waited for a while, since a job before may still be going, and then said', () => {
  const cluster = new SimulatedCluster(trainingJob(shared));
  const stranger = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'nuclei-keys', uid: 'a', ownerReferences: [] } };
  cluster.children.set('Secret/nuclei-keys', stranger);
  cluster.live();
  expect(cluster.jobs.size).toBe(0);
  expect(cluster.plan?.requeueAfterMs).toBe(5000);
  expect(cluster.wait(30).live()).toEqual(['NameTaken']);
  expect(cluster.condition('PodsReady')?.message).toBe(
    'the Secret nuclei-keys is there and is not of this job: delete it, or give this job another name',
  );
  cluster.children.delete('Secret/nuclei-keys');
  cluster.live();
  expect(cluster.jobs.size).toBe(2);
});

test('what the API server refuses is said in the condition', () => {
  const cluster = new SimulatedCluster(trainingJob(shared));
  cluster.settle();
  const message =
    'jobs.batch "nuclei-workers" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: count/jobs.batch=5, limited: count/jobs.batch=5';
  cluster.rejected = { kind: 'Job', name: 'nuclei-workers', message };
  cluster.jobs.clear();
  expect(cluster.reconcile().events.map(({ reason }) => reason)).toEqual(['QuotaExceeded']);
  cluster.rejected = { kind: 'Job', name: 'nuclei-workers', message: 'spec.template.spec.tolerations[0]: Invalid value' };
  cluster.reconcile();
  expect(cluster.condition('PodsReady')).toEqual({
    ...{ status: 'False', reason: 'Rejected' },
    message: 'the API server refuses the Job nuclei-workers (Kubernetes: spec.template.spec.tolerations[0]: Invalid value)',
  });
});
