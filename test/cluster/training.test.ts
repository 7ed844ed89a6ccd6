/**
 * Training on a real cluster, from the image and the chart of this repository: a job file runs by `kubectl apply` and ends in the weights of
 * `segfleet train`, whatever happens to its pods and nodes meanwhile.
 */
import { hash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSafetensors } from '../../trainer/storage/safetensors.ts';
import { canStartCluster } from '../tools/cluster.ts';
import { type Condition, Installation } from '../tools/installation.ts';
import { writeJob } from '../tools/jobs.ts';

const can = canStartCluster();
let at: Installation;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'segfleet-training-'));
  if (!can) return;
  at = await Installation.start({ nodes: 2 });
  await at.prepare();
  await at.helm('install');
}, 300_000);

afterAll(async () => {
  await at?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Real images of nuclei in shards on an S3 server: 80 for training, in batches of eight. */
const job = (name: string, { epochs = 1, lanes = 2, more = '' } = {}) =>
  writeJob(
    folder,
    `apiVersion: segfleet.dev/v1alpha1
kind: TrainingJob
metadata: {name: ${name}}
spec:
  seed: 5
  data: {path: s3://data/nuclei, size: {height: 48, width: 48}, channels: 1, split: {validation: 0.2}}
  model: {name: unet, width: 16, dropout: 0.1, batchNormMomentum: 0.9}
  loss: {name: adaptiveLog}
  training: {epochs: ${epochs}, batch: 8, lanes: ${lanes}, threads: 2}
${more.includes('workers:') ? '' : '  workers: {replicas: 2}\n'}${more}`,
    `${name}.yaml`,
  );

/** The digest that one process here comes to. */
async function digestHere(file: string, name: string): Promise<string> {
  const out = join(folder, `${name}-here`);
  const { code, stderr } = await at.segfleet(['train', file, '--out', out]);
  expect(code, stderr).toBe(0);
  return JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')).weights.digest;
}

/** The hash of each tensor that the step after this one depends on. */
async function stateAt(url: string, step: number): Promise<Record<string, string>> {
  const file = join(folder, `state-${hash('sha256', url).slice(0, 8)}.safetensors`);
  const { code, stderr } = await at.segfleet(['checkpoint', 'fetch', url, String(step), '--out', file]);
  expect(code, stderr).toBe(0);
  const { tensors } = await readSafetensors(file);
  return Object.fromEntries([...tensors].map(([name, { data }]) => [name, hash('sha256', data)]));
}

describe.skipIf(!can)('a job file on a cluster', () => {
  test('trains to the same weights as here, with a copy of the run folder in the store', async () => {
    const file = job('plain');
    await at.applyFile(file);
    expect(await at.succeed('wait', 'plain', '--namespace', at.namespace, '--timeout', '5m')).toMatch(/plain/);
    const { status } = await at.get('trainingjob', 'plain');
    expect(status.phase).toBe('Succeeded');
    expect(await at.succeed('logs', 'plain', '--namespace', at.namespace)).toMatch(/coordinator.*epoch 1/);
    expect(status).toMatchObject({ exitCode: 0, lanes: 2, maxWorkers: 2, epoch: 1, epochs: 1, progress: '1/1', step: 10, steps: 10 });
    expect(status.weightsDigest).toBe(await digestHere(file, 'plain'));
    expect(status.metric).toMatch(/^0\.\d{4}$/);

    const [run] = readdirSync(join(at.buckets, 'runs/lab'));
    expect(readdirSync(join(at.buckets, 'runs/lab', run, 'run'))).toEqual(
      expect.arrayContaining(['run.json', 'job.yaml', 'metrics.ndjson', 'results.csv', 'weights']),
    );
    const table = await at.kubectl('get', 'trainingjobs');
    expect(table.split('\n')[0].split(/\s{2,}/)).toEqual([
      'NAME',
      'PHASE',
      'WORKERS',
      'EPOCH',
      'LOSS',
      'METRIC',
      'ETA',
      'CHECKPOINT',
      'AGE',
    ]);
    const described = await at.kubectl('describe', 'trainingjob', 'plain');
    for (const reason of ['Accepted', 'Started', 'Completed']) expect(described).toMatch(new RegExp(`Normal +${reason}`));
  });

  test('and goes on to the same weights whatever happens to its pods and nodes', async () => {
    const name = 'hardy';
    // More epochs than there is patience for: it goes on until all of this has befallen it, however fast this machine is.
    const more = '  workers: {replicas: 2, max: 4}\n  checkpoint: {everySteps: 5, last: 1000}\n';
    const file = job(name, { epochs: 500, lanes: 4, more });
    await at.applyFile(file);
    const running = (step: number) => at.until(name, `step ${step}`, ({ phase, step: now }) => phase === 'Running' && now >= step);
    const uidsOf = async () => new Map((await at.pods(name, 'worker')).map(({ metadata }) => [metadata.name, metadata.uid]));
    const later = async (steps: number) => running((await at.get('trainingjob', name)).status.step + steps);

    // A worker is deleted.
    await running(2);
    const [first] = await at.pods(name, 'worker');
    await at.kubectl('delete', 'pod', first.metadata.name, '--wait=false');
    await at.until(name, 'a disruption', ({ restarts, workers }) => restarts?.disruptions === 1 && workers === 2);

    // Scaled up, and no worker that runs is started again.
    const before = await uidsOf();
    await at.kubectl('scale', `trainingjob/${name}`, '--replicas=3');
    await at.until(name, 'three workers', ({ workers }) => workers === 3);
    expect([...(await uidsOf())]).toEqual(expect.arrayContaining([...before]));

    // The process of a worker is killed.
    const [victim] = await at.pods(name, 'worker');
    await at.signal('KILL', victim);
    const { firstFailure } = await at.until(name, 'an error', ({ restarts }) => restarts.errors === 1);
    expect(firstFailure).toMatchObject({
      pod: victim.metadata.name,
      component: 'worker',
      cause: 'error',
      exitCode: 137,
      reason: 'SIGKILL',
    });
    await at.until(name, 'three workers again', ({ workers }) => workers === 3);

    // The coordinator is deleted.
    const [coordinator] = await at.pods(name, 'coordinator');
    await at.kubectl('delete', 'pod', coordinator.metadata.name, '--wait=false');
    await at.until(name, 'another coordinator', async () =>
      (await at.pods(name, 'coordinator')).some(
        ({ metadata, status }) => metadata.uid !== coordinator.metadata.uid && status.phase === 'Running',
      ),
    );
    await later(3);

    // Scaled down: those with the highest numbers go.
    await at.kubectl('scale', `trainingjob/${name}`, '--replicas=1');
    await at.until(name, 'one worker', async () =>
      (await at.pods(name, 'worker')).every(
        ({ metadata, status }) => metadata.labels['batch.kubernetes.io/job-completion-index'] === '0' || status.phase !== 'Running',
      ),
    );
    await later(2);

    // Suspended, and resumed.
    await at.kubectl('patch', 'trainingjob', name, '--type=merge', '--patch', '{"spec":{"suspend":true}}');
    const suspended = await at.until(name, 'that it is suspended', ({ phase }) => phase === 'Suspended');
    expect(suspended.checkpointStep).toBe(suspended.step);
    expect((await at.pods(name)).filter(({ status }) => status.phase === 'Running')).toEqual([]);
    await at.kubectl('patch', 'trainingjob', name, '--type=merge', '--patch', '{"spec":{"suspend":false,"workers":{"replicas":3}}}');
    await running(suspended.step + 2);

    // A node is lost, with what ran there.
    await at.until(
      name,
      'pods on both nodes',
      async () =>
        new Set((await at.pods(name)).filter(({ status }) => status.phase === 'Running').map(({ spec }) => spec.nodeName)).size === 2,
    );
    await at.cluster.stopNode(2);
    await at.until(name, 'a coordinator and workers on the node that is left', async () => {
      const pods = (await at.pods(name)).filter(({ status, metadata }) => status.phase === 'Running' && !metadata.deletionTimestamp);
      const components = new Set(pods.map(({ metadata }) => metadata.labels['segfleet.dev/component']));
      return components.size === 2 && pods.every(({ spec }) => spec.nodeName === 'node-1');
    });
    await later(2);
    // A worker that was lost with its node is made again when it is sure to be gone.
    await at.cluster.startNode(2);
    await at.until(name, 'three workers once more', ({ workers }) => workers === 3);

    await at.kubectl('patch', 'trainingjob', name, '--type=merge', '--patch', '{"spec":{"suspend":true}}');
    const { restarts, checkpointStep } = await at.until(name, 'that it is suspended again', ({ phase }) => phase === 'Suspended');
    expect(restarts).toMatchObject({ errors: 1, outOfMemory: 0 });

    // What it has come to is what one process here comes to, which nothing befell.
    const last = checkpointStep - (checkpointStep % 5);
    const epochs = Math.ceil(last / 10);
    const out = join(folder, 'hardy-here');
    const here = await at.segfleet(['train', file, '--out', out, '--set', `training.epochs=${epochs}`]);
    expect(here.code, here.stderr).toBe(0);
    const [run] = readdirSync(join(at.buckets, 'runs/lab')).filter(folder => folder.startsWith(`${name}-`));
    const [there, expected] = await Promise.all([`s3://runs/lab/${run}`, `file:${out}/checkpoints`].map(url => stateAt(url, last)));
    expect(there).toEqual(expected);
    await at.kubectl('delete', 'trainingjob', name);
  }, 1_200_000);

  test('says what to do about what keeps it from running', async () => {
    const more = (text: string) => ({ more: text });
    const refused = writeJob(folder, readFileSync(job('astray'), 'utf8').replace('s3://data/nuclei', '../nuclei'), 'astray.yaml');
    await at.applyFile(refused);
    await at.applyFile(job('pictureless', more('  pod: {image: "segfleet.test/nowhere:1"}\n')));
    await at.applyFile(job('keyless', more('  pod: {storeSecret: nowhere}\n')));
    await at.applyFile(job('giant', more('  pod: {gpus: 8}\n')));

    expect(await at.until('astray', 'a refusal', ({ phase }) => phase === 'Failed')).toMatchObject({ exitCode: 2 });
    expect(await at.condition('astray', 'Accepted')).toMatchObject({
      status: 'False',
      reason: 'Refused',
      message: expect.stringContaining('data.path'),
    });
    const reasons = { pictureless: 'ImagePullFailed', keyless: 'SecretMissing', giant: 'Unschedulable' };
    for (const [name, reason] of Object.entries(reasons)) {
      await at.until(name, reason, ({ conditions = [] }) =>
        conditions.some((one: Condition) => one.type === 'PodsReady' && one.reason === reason),
      );
      const events = await at.kubectl('get', 'events', `--field-selector=involvedObject.name=${name},reason=${reason}`, '--output=name');
      expect(events, name).not.toBe('');
    }
    // What was missing comes, and the job goes on by itself.
    await at.kubectl('create', 'secret', 'generic', 'nowhere', '--from-literal=credentials=', '--from-literal=config=');
    await at.kubectl('delete', 'trainingjob', ...Object.keys(reasons), 'astray');
  });

  test('says that it used more memory than it may, and that a quota keeps it from starting', async () => {
    await at.applyFile(job('hungry', { more: '  restarts: {outOfMemory: 0}\n  pod: {resources: {limits: {memory: 160Mi}}}\n' }));
    const status = await at.until('hungry', 'its end', ({ phase }) => phase === 'Failed');
    expect(status).toMatchObject({ exitCode: 11, firstFailure: { component: 'worker', cause: 'outOfMemory', reason: 'OOMKilled' } });
    expect(await at.condition('hungry', 'Failed')).toMatchObject({
      status: 'True',
      reason: 'OutOfMemory',
      message: expect.stringContaining('pod.resources.limits.memory'),
    });

    await at.apply({
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'tight', namespace: at.namespace },
      spec: { hard: { pods: '1' } },
    });
    await at.kubectl('delete', 'pods', '--all');
    await at.applyFile(job('crowded'));
    await at.until('crowded', 'QuotaExceeded', ({ conditions = [] }) =>
      conditions.some((one: Condition) => one.reason === 'QuotaExceeded'),
    );
    await at.kubectl('delete', 'resourcequota', 'tight');
    await at.until('crowded', 'that it runs', ({ phase }) => phase === 'Running');
    await at.kubectl('delete', 'trainingjob', 'crowded', 'hungry');
  });

  test('commits a checkpoint within five seconds of grace', async () => {
    await at.applyFile(job('brief', { epochs: 50, more: '  pod: {terminationGracePeriodSeconds: 5}\n' }));
    await at.until('brief', 'step 3', ({ step }) => step >= 3);
    await at.kubectl('patch', 'trainingjob', 'brief', '--type=merge', '--patch', '{"spec":{"suspend":true}}');
    const status = await at.until('brief', 'that it is suspended', ({ phase }) => phase === 'Suspended');
    expect(status.checkpointStep).toBeGreaterThanOrEqual(3);
    expect(status.checkpointStep).toBe(status.step);
    await at.kubectl('delete', 'trainingjob', 'brief');
  });

  test('leaves nothing when it is deleted, even while it is being made', async () => {
    await at.applyFile(job('fleeting'));
    await at.kubectl('delete', 'trainingjob', 'fleeting', '--timeout=30s');
    const kinds = 'jobs,pods,services,configmaps,secrets,networkpolicies,poddisruptionbudgets';
    const left = () => at.kubectl('get', kinds, '--selector=segfleet.dev/job', '--output=name');
    await at.kubectl('delete', 'trainingjobs', '--all', '--timeout=60s');
    await expect.poll(left, { timeout: 120_000, interval: 500 }).toBe('');
  });
});
