import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Progress } from '../../coordinator/progress.ts';
import { stuckAt } from '../../k8s/fleet.ts';
import { labels } from '../../k8s/names.ts';
import type { Pod } from '../../k8s/objects.ts';
import { reconcile } from '../../k8s/reconcile.ts';
import type { JobStatus } from '../../k8s/status.ts';
import { isIdle, SimulatedCluster } from '../tools/simulatedCluster.ts';
import { trainingJob } from '../tools/trainingJobs.ts';

const exitCodes = [0, 1, 6, 8, 11, 75, 130, 137, 139, 143];
const disruptions = [undefined, 'EvictionByEvictionAPI', 'PreemptionByScheduler', 'DeletionByTaintManager'];

/** What may happen between two looks of the operator. */
type Happening =
  | { readonly do: 'start' | 'reap'; readonly pod: number }
  | { readonly do: 'end'; readonly pod: number; readonly exitCode: number; readonly isOutOfMemory: boolean }
  | { readonly do: 'delete'; readonly pod: number; readonly disruption: string | undefined }
  | { readonly do: 'control' | 'look' | 'operatorRestarts' | 'startAll' | 'reapAll' | 'live' }
  | { readonly do: 'wait'; readonly seconds: number }
  | { readonly do: 'scale'; readonly replicas: number }
  | { readonly do: 'suspend'; readonly suspend: boolean }
  | { readonly do: 'lose'; readonly what: number }
  | { readonly do: 'queue'; readonly suspend: boolean }
  | { readonly do: 'tell'; readonly phase: 'training' | 'finishing' | undefined };

const pod = fc.nat(9);
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('start' as const, 'reap' as const), pod }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('end' as const), pod, exitCode: fc.constantFrom(...exitCodes), isOutOfMemory: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), pod, disruption: fc.constantFrom(...disruptions) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom<'control' | 'look' | 'startAll' | 'reapAll' | 'live' | 'operatorRestarts'>(
        'control',
        'look',
        'look',
        'startAll',
        'reapAll',
        'live',
        'operatorRestarts',
      ),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.nat(200) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('scale' as const), replicas: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('suspend' as const), suspend: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), what: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('queue' as const), suspend: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('tell' as const),
      phase: fc.constantFrom('training' as const, 'finishing' as const, undefined),
    }),
  },
);

const histories = fc.array(happening, { maxLength: 60, size: 'max' });

const jobs = fc.record({
  replicas: fc.integer({ min: 1, max: 4 }),
  min: fc.integer({ min: 1, max: 4 }),
  isQueued: fc.boolean(),
  errors: fc.integer({ min: 0, max: 4 }),
  disruptions: fc.constantFrom(undefined, undefined, 2),
  deadline: fc.constantFrom(undefined, undefined, 3000),
  hasBegun: fc.constantFrom(true, true, true, false),
});

/** One that runs already, most of the time. */
function make({
  replicas,
  min,
  isQueued,
  errors,
  disruptions,
  deadline,
  hasBegun,
}: ReturnType<typeof jobs.generate>['value']): SimulatedCluster {
  const spec = {
    workers: { replicas, min: Math.min(min, replicas), max: 4 },
    restarts: { errors, ...(disruptions !== undefined && { disruptions }) },
    ...(deadline !== undefined && { activeDeadlineSeconds: deadline }),
  };
  const cluster = new SimulatedCluster(trainingJob(spec, isQueued ? { labels: { [labels.queue]: 'gpus' } } : {}));
  if (!hasBegun) return cluster;
  cluster.live();
  admit(cluster);
  return cluster.begin();
}

/** A job that was refused may yet be accepted. */
const isOver = ({ phase, lanes }: JobStatus) => phase === 'Succeeded' || (phase === 'Failed' && lanes !== undefined);

const telling = (phase: Progress['phase']): Progress => ({
  ...{ run: 'nuclei', phase, workers: 1, expected: 1, generation: 1, epoch: 1, epochs: 2, step: 3, steps: 9 },
});

const admit = (cluster: SimulatedCluster) => {
  if (cluster.workers?.metadata.labels?.[labels.queue]) cluster.workers.spec.suspend = false;
};

function happen(cluster: SimulatedCluster, what: Happening): void {
  const any = (index: number) => cluster.running().at(index % Math.max(1, cluster.running().length));
  switch (what.do) {
    case 'start': {
      const pod = any(what.pod);
      if (pod?.status?.phase === 'Pending' && !pod.metadata.deletionTimestamp) cluster.start(pod);
      return;
    }
    case 'reap': {
      const pod = any(what.pod);
      if (pod?.metadata.deletionTimestamp) cluster.end(pod, 75);
      return;
    }
    case 'end': {
      const pod = any(what.pod);
      if (pod?.status?.phase === 'Running')
        cluster.end(pod, what.exitCode, what.exitCode === 137 && what.isOutOfMemory ? { reason: 'OOMKilled' } : {});
      return;
    }
    case 'delete': {
      const pod = any(what.pod);
      if (pod) cluster.delete(pod, what.disruption);
      return;
    }
    case 'control':
      cluster.controlJobs();
      return;
    case 'look':
      look(cluster);
      return;
    case 'startAll':
      for (const pod of cluster.running()) if (pod.status?.phase === 'Pending' && !pod.metadata.deletionTimestamp) cluster.start(pod);
      return;
    case 'reapAll':
      cluster.reap(75);
      return;
    case 'live':
      for (let round = 0; round < 4; round++) {
        look(cluster);
        cluster.controlJobs();
      }
      return;
    case 'operatorRestarts':
      cluster.plan = undefined;
      cluster.progress = undefined;
      return;
    case 'wait':
      cluster.wait(what.seconds);
      return;
    case 'scale':
      cluster.edit(spec => Object.assign(spec, { workers: { ...(spec as { workers?: object }).workers, replicas: what.replicas } }));
      return;
    case 'suspend':
      cluster.edit(spec => Object.assign(spec, { suspend: what.suspend }));
      return;
    case 'lose': {
      const all = [...cluster.children.keys(), ...cluster.jobs.keys()];
      const name = all.at(what.what % Math.max(1, all.length));
      if (name) void (cluster.children.delete(name) || cluster.jobs.delete(name));
      return;
    }
    case 'queue':
      if (cluster.workers?.metadata.labels?.[labels.queue]) cluster.workers.spec.suspend = what.suspend;
      return;
    case 'tell':
      cluster.progress = what.phase && telling(what.phase);
      return;
    default:
      what satisfies never;
  }
}

/** One look, and what must be true of each. */
function look(cluster: SimulatedCluster): void {
  const before = cluster.status;
  const seen = cluster.observed();
  const plan = cluster.reconcile();
  const after = cluster.status;

  // Two at a time would fight for the checkpoints; one on a lost node is fenced by the other.
  const isStuck = (pod: Pod) => cluster.now.getTime() >= stuckAt(pod);
  const leaders = cluster.running('coordinator').filter(pod => !isStuck(pod as Pod));
  expect(leaders.length).toBeLessThanOrEqual(1);

  for (const condition of after.conditions ?? []) {
    const old = before.conditions?.find(({ type }) => type === condition.type);
    if (old?.status === condition.status) expect(condition.lastTransitionTime).toBe(old.lastTransitionTime);
  }
  expect(new Set(after.conditions?.map(({ type }) => type)).size).toBe(after.conditions?.length);
  if (before.lanes !== undefined) expect([after.lanes, after.maxWorkers]).toEqual([before.lanes, before.maxWorkers]);
  for (const budget of ['errors', 'outOfMemory', 'disruptions'] as const) {
    expect(after.restarts?.[budget] ?? 0).toBeGreaterThanOrEqual(before.restarts?.[budget] ?? 0);
  }
  if (before.firstFailure) expect(after.firstFailure).toBeDefined();
  expect(after.activeSeconds ?? 0).toBeGreaterThanOrEqual(before.activeSeconds ?? 0);
  if (isOver(before)) {
    const { phase, exitCode, completionTime, restarts } = before;
    expect(after).toMatchObject({ phase, exitCode, completionTime, ...(restarts && { restarts }) });
    expect(plan.create).toEqual([]);
    expect(plan.events).toEqual([]);
  }
  // Whoever looks at the same things with the status that was written says nothing more.
  const again = reconcile({ ...seen, job: { ...seen.job, status: after } }, cluster.context);
  const lasting = again.events.filter(({ reason }) => reason !== 'WorkersScaled');
  if (after.lanes === before.lanes) expect(lasting).toEqual([]);
}

/** Kubernetes and the queue do their part, nothing fails any more. */
function heal(cluster: SimulatedCluster): void {
  for (let round = 0; ; round++) {
    cluster.progress = cluster.running('coordinator').some(({ status }) => status?.phase === 'Running') ? telling('training') : undefined;
    const before = JSON.stringify([[...cluster.jobs.values()], [...cluster.pods.values()], cluster.status]);
    admit(cluster);
    cluster.wait(10).controlJobs();
    cluster.reap(75).controlJobs();
    for (const pod of cluster.running()) if (pod.status?.phase === 'Pending') cluster.start(pod);
    cluster.settle();
    if (round > 8 && JSON.stringify([[...cluster.jobs.values()], [...cluster.pods.values()], cluster.status]) === before) return;
    if (round > 60) throw new Error(`it finds no rest: ${JSON.stringify(cluster.plan)}`);
  }
}

const numRuns = Number(process.env.FUZZ_RUNS ?? 300);

test('whatever happens, in whatever order: once nothing fails any more the job runs, rests or is over, as its spec says', {
  timeout: 120_000 + 1000 * numRuns,
}, () => {
  fc.assert(
    fc.property(jobs, histories, (job, happenings) => {
      const cluster = make(job);
      for (const what of happenings) happen(cluster, what);
      // A plan that is carried out leaves nothing to do.
      cluster.settle();
      const rested = cluster.status;
      const idle = cluster.reconcile();
      expect(isIdle(idle)).toBe(true);
      expect(idle.urgent).toBe(false);
      expect(cluster.status).toEqual(rested);

      heal(cluster);

      const { spec, status } = cluster.job!;
      if (status?.lanes === undefined) {
        expect(status?.phase).toBe('Failed');
        expect(spec.workers!.min).toBeGreaterThan(spec.workers!.replicas!);
      } else if (isOver(cluster.status)) {
        cluster.wait(60);
        heal(cluster);
        expect(cluster.running()).toEqual([]);
      } else if (spec.suspend) {
        expect(status?.phase).toBe('Suspended');
        expect(cluster.running()).toEqual([]);
      } else {
        const size = Math.min(4, Math.max(spec.workers!.replicas!, spec.workers!.min!));
        expect(status?.phase).toBe('Running');
        expect(cluster.running('coordinator')).toHaveLength(1);
        // Some may have ended well, and the others go on: workers do that at the end of the run alone.
        const done = [...cluster.pods.values()].filter(
          ({ status, metadata }) => status?.phase === 'Succeeded' && metadata.labels?.[labels.component] === 'worker',
        );
        expect(cluster.running('worker').length + done.length).toBeGreaterThanOrEqual(size);
      }
      const last = cluster.wait(1).reconcile();
      expect(isIdle(last)).toBe(true);
    }),
    { numRuns },
  );
});
