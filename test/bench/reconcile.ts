/**
 * `npm run bench:reconcile`: how long the operator takes to bring many jobs up on a real API server and Job controller, how often it asks the server for
 * that, and how often while nothing happens. There is no kubelet: this program says of each pod that it runs.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { makeKeyFile } from '../../coordinator/exchange/keys.ts';
import { connect } from '../../k8s/api.ts';
import { managedSelector } from '../../k8s/names.ts';
import type { Pod, TrainingJob } from '../../k8s/objects.ts';
import { runOperator } from '../../k8s/operator.ts';
import { reconcile } from '../../k8s/reconcile.ts';
import { describeMachine } from '../../trainer/machine.ts';
import { startWithKinds } from '../tools/crds.ts';
import { trainingJob } from '../tools/trainingJobs.ts';
import { median, writeResults } from './results.ts';

const { values: flags } = parseArgs({
  options: { jobs: { type: 'string', default: '200' }, idle: { type: 'string', default: '120' } },
});
const numJobs = Number(flags.jobs);
const idleSeconds = Number(flags.idle);
const namespace = 'default';

await using controlPlane = await startWithKinds();
const [api, own] = await Promise.all([connect({ kubeconfig: controlPlane.kubeconfig }), connect({ kubeconfig: controlPlane.kubeconfig })]);
const stop = new AbortController();
const took: number[] = [];
const operator = runOperator({
  api,
  settings: { image: 'segfleet:1', store: 's3://runs/models', clients: [] },
  reconcile: (observed, context) => {
    const began = performance.now();
    const plan = reconcile(observed, context);
    took.push(performance.now() - began);
    return plan;
  },
  makeKeys: makeKeyFile,
  identity: 'bench',
  log: (level, message, fields) => level === 'info' || console.log(message, fields),
  lease: { namespace, name: 'bench' },
  listen: { host: '127.0.0.1', port: 0 },
  signal: stop.signal,
});

/** A kubelet's word for every pod that has none. */
async function runPods(): Promise<void> {
  const { items } = await own.list<Pod>('Pod', { namespace, labelSelector: managedSelector });
  const waiting = items.filter(({ status }) => status?.phase === 'Pending');
  const ready = { type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString() };
  const say = async (pod: Pod) => {
    const name = pod.metadata.labels!['segfleet.dev/component'];
    const container = { name, image: 'segfleet:1', imageID: '', ready: true, restartCount: 0, state: { running: {} } };
    const status = { phase: 'Running', conditions: [ready], containerStatuses: [container] };
    await own.patch(pod, { status }, 'status').catch(() => {});
  };
  for (let i = 0; i < waiting.length; i += 8) await Promise.all(waiting.slice(i, i + 8).map(say));
}

async function untilAll(what: string, holds: (job: TrainingJob) => boolean): Promise<void> {
  for (;;) {
    const { items } = await own.list<TrainingJob>('TrainingJob', { namespace });
    const done = items.filter(holds).length;
    if (items.length === numJobs && done === numJobs) return;
    console.log(`${what}: ${done} of ${numJobs}`);
    await runPods();
    await wait(1000);
  }
}

await wait(2000);
const before = api.requests;
const began = performance.now();
for (let i = 0; i < numJobs; i += 8) {
  const some = Array.from({ length: Math.min(8, numJobs - i) }, (_, k) =>
    trainingJob(
      { workers: { replicas: 2 } },
      { name: `job-${i + k}`, namespace, uid: undefined, creationTimestamp: undefined, generation: undefined },
    ),
  );
  await Promise.all(some.map(job => own.create(job)));
}
await untilAll('running', ({ status }) => status?.phase === 'Running');
const seconds = (performance.now() - began) / 1000;
// What comes after the last change of a job: events, and a last look.
await wait(20_000);
const calls = api.requests - before;

const idleBefore = api.requests;
console.log(`idle for ${idleSeconds} s ...`);
await wait(idleSeconds * 1000);
const idle = api.requests - idleBefore;
stop.abort();
await operator;
await own.close();

const perMinute = (idle * 60) / idleSeconds;
const leaseOnly = 30;
const text = `${numJobs} jobs of a coordinator and two workers, from \`create\` to phase Running, on a real API server and Job controller (no kubelet: the bench says of each pod that it runs).

| what | figure |
|---|---|
| all ${numJobs} jobs run after | ${seconds.toFixed(1)} s, ${((seconds * 1000) / numJobs).toFixed(0)} ms a job |
| requests of the operator to the API server, each job | ${(calls / numJobs).toFixed(1)} |
| looks at a job (pure reconcile), median / largest | ${median(took).toFixed(2)} / ${Math.max(...took).toFixed(1)} ms, ${(took.length / numJobs).toFixed(1)} a job |
| requests while nothing happens (${idleSeconds} s), all jobs together | ${perMinute.toFixed(0)} a minute, of which the lease ${leaseOnly} |
| of these, each job | ${(Math.max(0, perMinute - leaseOnly) / numJobs).toFixed(3)} a minute |
`;
console.log(text);
const { cpu, processors } = describeMachine();
writeResults('reconcile', `${cpu}, ${processors} processors`, `npm run bench:reconcile -- --jobs ${numJobs}`, text);
