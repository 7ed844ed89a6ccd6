/**
 * The commands against a cluster, as a user calls them: processes against a real API server. There is no operator and there are no nodes; what these would
 * write the test writes.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Api, connect } from '../../k8s/api.ts';
import { isStatus } from '../../k8s/apiError.ts';
import type { Finding } from '../../k8s/checks/finding.ts';
import type { AnyObject, TrainingJob } from '../../k8s/objects.ts';
import { type CliOptions, eventsOf, type Finished, segfleet } from '../tools/cli.ts';
import { type ControlPlane, startControlPlane } from '../tools/controlPlane.ts';
import { installKinds, jobOf, makePod, report, say, setPod } from '../tools/handOperator.ts';
import { LogKubelet } from '../tools/logKubelet.ts';
import { hasKubernetes } from '../tools/tools.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-cluster-'));
afterAll(() => rmSync(folder, { recursive: true }));

const soon = { timeout: 60_000, interval: 100 };

const writeFile = (name: string, text: string): string => {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
};
const jobFile = (name: string, more = '') =>
  writeFile(
    `${name}.yaml`,
    `apiVersion: segfleet.dev/v1alpha1
kind: TrainingJob
metadata: {name: ${name}, labels: {kueue.x-k8s.io/queue-name: research}}
spec:
  data: {path: s3://bucket/data}
  loss: {name: dice}
  training: {epochs: 3, batch: 8, lanes: 4}
  workers: {replicas: 2}
${more}`,
  );

describe('without a cluster', () => {
  /** What a user without any of it has. */
  const bare = { KUBECONFIG: '', HOME: folder };
  const kubeconfig = (server: string) =>
    writeFile(
      'some.kubeconfig',
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'c', cluster: { server } }],
        contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
        users: [{ name: 'u', user: { token: 'secret-token' } }],
        'current-context': 'here',
      }),
    );

  test.each<[string, string[], Record<string, string>, number, string]>([
    ['there is no kubeconfig', ['list'], bare, 4, 'there is no cluster to talk to; set KUBECONFIG, or name a context of it with --context'],
    ['the kubeconfig is not there', ['list'], { KUBECONFIG: join(folder, 'none') }, 4, 'the kubeconfig cannot be read (ENOENT'],
    ['the kubeconfig is none', ['list'], { KUBECONFIG: writeFile('broken', 'a: [') }, 2, 'the kubeconfig cannot be read ('],
    [
      'there is no such context',
      ['list', '--context', 'there'],
      { KUBECONFIG: kubeconfig('https://127.0.0.1:59999') },
      4,
      'there is no context there; known are here',
    ],
    [
      'nobody listens',
      ['status', 'skin'],
      { KUBECONFIG: kubeconfig('https://127.0.0.1:59999') },
      6,
      'TrainingJob skin in namespace default: the API server does not answer (connect ECONNREFUSED 127.0.0.1:59999); check the network and the context',
    ],
    ['a name is a path', ['status', '../secrets'], bare, 2, '"../secrets" is not the name of a job; names are lower-case letters'],
    ['a name is too long', ['logs', 'a'.repeat(64)], bare, 2, 'is not the name of a job'],
    ['a namespace is a path', ['list', '--namespace', '..'], bare, 2, '".." is not the name of a namespace'],
    ['a job file is wrong', ['submit', jobFile('wrong', '  los: {name: dice}\n')], bare, 2, 'unknown field los; did you mean loss?'],
    [
      'a time is none',
      ['wait', 'skin', '--timeout', '10'],
      bare,
      2,
      '--timeout 10: this is not a time of at most 24 days; write it as 30s, 10m or 1h30m',
    ],
  ])('%s: one sentence and a code', async (_, words, env, code, sentence) => {
    const finished = await segfleet(words, { env });
    expect(finished).toMatchObject({ code, stdout: '' });
    expect(finished.stderr).toMatch(/^error: .*\n$/);
    expect(finished.stderr).toContain(sentence);
  });

  test('the secrets of a kubeconfig are never shown', async () => {
    const { stdout, stderr } = await segfleet(['list', '--json'], {
      env: { KUBECONFIG: kubeconfig('https://127.0.0.1:59999'), SEGFLEET_DEBUG: '1' },
    });
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'unavailable', exitCode: 6 });
    expect(stdout + stderr).not.toContain('secret-token');
  });

  test('whoever is silent is named while the user waits', async () => {
    const silent = createServer(() => {});
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(silent.address() as { port: number }).port}`;
    const env = { KUBECONFIG: kubeconfig(url) };
    const running = segfleet(['list'], {
      env,
      onStart: child => {
        child.stderr!.on('data', () => child.kill('SIGKILL'));
      },
    });
    expect(await running).toMatchObject({ signal: 'SIGKILL', stderr: `waiting for the API server ${url} ...\n` });
    silent.close();
  });
});

describe.skipIf(!hasKubernetes())('against a cluster', () => {
  let controlPlane: ControlPlane;
  let api: Api;
  beforeAll(async () => {
    controlPlane = await startControlPlane({ scheduler: false });
    api = await connect({ kubeconfig: controlPlane.kubeconfig });
  });
  afterAll(() => controlPlane[Symbol.asyncDispose]());

  const run = (words: readonly string[], { env, ...options }: CliOptions = {}): Promise<Finished> =>
    segfleet(words, { env: { KUBECONFIG: controlPlane.kubeconfig, ...env }, ...options });
  const get = (name: string, namespace = 'default') => api.get<TrainingJob>('TrainingJob', name, { namespace });
  const isGone = (name: string) =>
    get(name).then(
      () => false,
      error => isStatus(error, 404),
    );

  test('where segfleet is not installed says how to install it', async () => {
    for (const words of [['list'], ['submit', jobFile('early')], ['wait', 'skin']]) {
      const { code, stderr } = await run(words);
      expect([words[0], code, stderr]).toEqual([words[0], 4, expect.stringContaining('helm install segfleet charts/segfleet')]);
    }
    const { code, stdout } = await run(['cluster', 'check']);
    expect(code).toBe(12);
    expect(stdout).toMatch(/^missing {2}kinds +trainingjobs.segfleet.dev is not there\n +helm install/m);
    await installKinds(api);
  });

  describe('submit', () => {
    test('makes a job of what the user gave and no more, and says what is next', async () => {
      const file = jobFile('skin');
      expect(await run(['submit', file, '--dry-run'])).toMatchObject({ code: 0, stdout: 'skin would be taken in namespace default' });
      expect(await isGone('skin')).toBe(true);
      const { code, stdout, stderr } = await run(['submit', file, '--set', 'training.epochs=7', '--set', 'loss.name=focal']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/^submitted skin in namespace default\nnext:\n.* status skin\n.* logs skin --follow\n/);
      const { metadata, spec } = await get('skin');
      expect(metadata.labels).toEqual({ 'kueue.x-k8s.io/queue-name': 'research' });
      expect(spec).toMatchObject({ training: { epochs: 7, batch: 8, lanes: 4 }, loss: { name: 'focal' }, workers: { replicas: 2 } });
      // Derived defaults and the fields of the loss are for the cluster to fill in.
      expect(spec.workers).not.toHaveProperty('max');
      expect(spec).not.toHaveProperty('deepSupervision');
      expect(metadata).toMatchObject({ managedFields: [{ manager: 'segfleet' }] });
    });

    test('a job that exists ends with 7 and what to do', async () => {
      const { code, stderr } = await run(['submit', jobFile('skin')]);
      expect(code).toBe(7);
      expect(stderr).toContain(
        'there is a job skin in namespace default already; see it with `status skin`, remove it with `cancel skin`, or',
      );
      expect((await get('skin')).spec.loss).toMatchObject({ name: 'focal' });
    });

    test.each<[string, string[], number, string]>([
      [
        'a namespace that is not there',
        ['--namespace', 'nowhere'],
        4,
        'there is no namespace nowhere; make it (kubectl create namespace nowhere)',
      ],
      [
        'two namespaces',
        ['--set', 'metadata.namespace=one', '--namespace', 'two'],
        2,
        'says metadata.namespace: one, and --namespace says two',
      ],
      [
        'a name that Kubernetes has not',
        ['--set', 'metadata.name=Skin'],
        2,
        '--set: metadata.name must be lower-case letters, digits and dashes',
      ],
      [
        'data that only this machine has',
        ['--set', 'data.path=../skin'],
        2,
        'data.path is ../skin, and file: URLs need a volume on a cluster: give an absolute path below the mountPath of one of pod.volumes',
      ],
      ['a job that is none', ['--set', 'training.batch=7'], 2, 'training.batch is 7, which is not divisible by training.lanes, 4; try 8'],
    ])('%s', async (_, words, code, sentence) => {
      const finished = await run(['submit', jobFile('another'), ...words]);
      expect(finished).toMatchObject({ code, stderr: expect.stringContaining(sentence) });
      expect(await isGone('another')).toBe(true);
    });
  });

  describe('submit of a sweep', () => {
    const sweepFile = (name: string, more = '') =>
      writeFile(
        `${name}-sweep.yaml`,
        `apiVersion: segfleet.dev/v1alpha1
kind: Sweep
metadata: {name: ${name}}
spec:
  objective: {metric: validation/jaccard}
  method: grid
  base: ${jobFile('base').split('/').at(-1)}
  parameters: {loss.name: {values: [dice, focal]}}
${more}`,
      );
    const sweep = (name: string) => api.get<AnyObject & { spec: Record<string, unknown> }>('Sweep', name, { namespace: 'default' });

    test('takes its job with it', async () => {
      expect(await run(['submit', sweepFile('losses'), '--dry-run'])).toMatchObject({
        code: 0,
        stdout: 'losses would be taken in namespace default',
      });
      const { code, stdout, stderr } = await run(['submit', sweepFile('losses'), '--set', 'training.epochs=7']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(
        /^submitted the sweep losses in namespace default\nnext:\n {2}kubectl get sweep losses --namespace default --watch\n/,
      );
      const { spec } = await sweep('losses');
      expect(spec.base).toMatchObject({
        metadata: { labels: { 'kueue.x-k8s.io/queue-name': 'research' } },
        spec: { data: { path: 's3://bucket/data' }, training: { epochs: 7, batch: 8, lanes: 4 } },
      });
      const again = await run(['submit', sweepFile('losses')]);
      expect(again.code).toBe(7);
      expect(again.stderr).toContain('there is a sweep losses in namespace default already; see it with `kubectl get sweep losses');
    });

    test.each<[string, string, string[], string]>([
      ['to follow it', '', ['--follow'], '--follow follows one job, and this is a sweep'],
      ['a search that counts in steps', '  earlyStop: {type: median, timeMetric: step}\n', [], 'on a cluster trials are compared by epoch'],
      [
        'data that only this machine has',
        '',
        ['--set', 'data.path=here'],
        'the trial with loss.name=dice: data.path is here, and file: URLs',
      ],
    ])('%s', async (_, more, words, sentence) => {
      const finished = await run(['submit', sweepFile('another', more), ...words]);
      expect(finished).toMatchObject({ code: 2, stderr: expect.stringContaining(sentence) });
    });
  });

  test('list shows how far jobs are, those of all namespaces too', async () => {
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-a' } });
    await api.create({ ...jobOf('vessels'), metadata: { name: 'vessels', namespace: 'team-a' } });
    const minuteAgo = new Date(Date.now() - 61_000).toISOString();
    const numbers = { workers: 2, epoch: 2, epochs: 7, loss: '0.2134', metric: '0.8021', eta: '4m', checkpointTime: minuteAgo } as const;
    await report(api, 'skin', { phase: 'Running', ...numbers });
    const { stdout } = await run(['list']);
    expect(stdout).toMatch(/│ skin +│ Running +│ +2\/2 │ +2\/7 │ 0.2134 │ 0.8021 │ +4m │ +1 min │ +\d+ (s|min) │/);
    expect(stdout).not.toContain('vessels');
    expect((await run(['list', '--all-namespaces'])).stdout).toMatch(/│ team-a +│ vessels +│ +Pending +│ +0\/2 │/);
    const { namespace, jobs } = JSON.parse((await run(['list', '--json'])).stdout);
    expect({ namespace, jobs }).toMatchObject({
      namespace: 'default',
      jobs: [{ name: 'skin', namespace: 'default', phase: 'Running', workers: { ready: 2, wanted: 2 }, epoch: 2, metric: '0.8021' }],
    });
    expect(await run(['list', '-n', 'kube-public'])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('there are no jobs in namespace kube-public'),
    });
  });

  describe('status', () => {
    test('shows phase, progress, conditions, first failure, restarts and pods on one screen', async () => {
      const time = new Date(Date.now() - 125_000).toISOString();
      const condition = (type: string, status: 'True' | 'False', reason: string, message: string) =>
        ({ type, status, reason, message, lastTransitionTime: time }) as const;
      await report(api, 'skin', {
        phase: 'Running',
        step: 30,
        steps: 210,
        lossName: 'focal',
        checkpointStep: 20,
        conditions: [
          condition('Accepted', 'True', 'Valid', 'taken'),
          condition('PodsReady', 'False', 'ImagePullBackOff', 'worker-1: the image none.invalid/none:1 cannot be pulled; check pod.image'),
        ],
        restarts: { errors: 1, outOfMemory: 1, disruptions: 0 },
        firstFailure: {
          pod: 'skin-workers-1-zzzzz',
          component: 'worker',
          node: 'node-2',
          cause: 'outOfMemory',
          exitCode: 137,
          reason: 'OOMKilled',
          message: 'it used more memory than its limit',
          log: 'epoch 1\n\u001b[31mepoch 2\n',
          time,
        },
      });
      await makePod(api, 'skin-workers-1-yyyyy', { job: 'skin', component: 'worker', index: 1 });
      await setPod(api, 'skin-workers-1-yyyyy', 'Pending', { waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image' } });
      await makePod(api, 'skin-coordinator-0-yyyyy', { job: 'skin', component: 'coordinator' });
      const { code, stdout } = await run(['status', 'skin']);
      expect(code).toBe(0);
      const lines = stdout.split('\n');
      expect(lines[0]).toMatch(/^skin in namespace default: Running, 2 of 2 workers, made \d+ (s|min) ago$/);
      for (const line of [
        /^█+░+ epoch 2\/7, step 30\/210 {3}4m left$/,
        /^loss \(focal\) 0.2134, best validation Jaccard 0.8021, checkpoint of step 20, \d min ago$/,
        /^Accepted +True +Valid: taken$/,
        /^PodsReady +False +ImagePullBackOff: worker-1: the image .* cannot be pulled; check pod.image$/,
        /^first failure: skin-workers-1-zzzzz on node-2, 2 min ago: OOMKilled \(exit 137\)$/,
        /^ {2}it used more memory than its limit$/,
        /^ {2}\| epoch 1$/,
        /^ {2}\| \ufffd\[31mepoch 2$/, // What a pod has written does not move the cursor.
        /^restarts: 1 of 6 after errors, 1 of 2 out of memory, 0 by disruptions$/,
        /^│ coordinator │ skin-coordinator-0-yyyyy +│ Pending/,
        /^│ worker-1 +│ skin-workers-1-yyyyy +│ ImagePullBackOff/,
        /^worker-1: ImagePullBackOff: Back-off pulling image$/,
        /^ {2}.*segfleet logs skin --follow$/,
      ]) {
        expect(lines).toContainEqual(expect.stringMatching(line));
      }
      const { job, pods } = JSON.parse((await run(['status', 'skin', '--json'])).stdout);
      expect(job).toMatchObject({ kind: 'TrainingJob', metadata: { name: 'skin' }, status: { phase: 'Running', step: 30 } });
      expect(pods).toMatchObject([{ component: 'coordinator' }, { component: 'worker', index: 1, state: 'ImagePullBackOff' }]);
    });

    test.each([
      ['a name that is near', 'skim', 'there is no job skim in namespace default; did you mean skin?', ['logs', 'wait', 'events']],
      ['all names where none is', 'frobnicate', 'there is no job frobnicate in namespace default; there are skin', ['status', 'cancel']],
    ])('suggests %s', async (_, name, sentence, commands) => {
      for (const command of commands) {
        expect([command, await run([command, name])]).toEqual([
          command,
          expect.objectContaining({ code: 4, stdout: '', stderr: `error: ${sentence}\n` }),
        ]);
      }
    });

    test('of a job that no operator has looked at says so', async () => {
      await vi.waitFor(async () => {
        const { metadata } = await get('vessels', 'team-a');
        expect(Date.now() - Date.parse(metadata.creationTimestamp!)).toBeGreaterThan(16_000);
      }, soon);
      const { stdout } = await run(['status', 'vessels', '--namespace', 'team-a']);
      expect(stdout).toMatch(/no pods\nno operator has looked at this job yet; next:\n.*segfleet cluster check --namespace team-a$/);
    });
  });

  describe('suspend and resume', () => {
    test('change the job once', async () => {
      expect(await run(['suspend', 'skin'])).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^skin writes a checkpoint and releases its pods\nnext:/),
      });
      const { spec, metadata } = await get('skin');
      expect(spec.suspend).toBe(true);
      expect(JSON.parse((await run(['suspend', 'skin', '--json'])).stdout)).toEqual({
        name: 'skin',
        namespace: 'default',
        suspend: true,
        changed: false,
      });
      expect((await get('skin')).metadata.resourceVersion).toBe(metadata.resourceVersion);
      expect(await run(['resume', 'skin'])).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^skin goes on from its newest checkpoint\nnext:/),
      });
      expect((await get('skin')).spec.suspend).toBe(false);
    });

    test('a job that has ended ends with 7', async () => {
      await api.create(jobOf('over'));
      await report(api, 'over', { phase: 'Succeeded' });
      for (const words of [
        ['suspend', 'over'],
        ['resume', 'over'],
        ['scale', 'over', '1'],
      ]) {
        expect(await run(words)).toMatchObject({ code: 7, stderr: expect.stringContaining('over has ended (Succeeded);') });
      }
    });
  });

  test('scale changes workers.replicas, and says the refusal of the server in one sentence', async () => {
    await report(api, 'skin', { lanes: 4, maxWorkers: 4 });
    expect(await run(['scale', 'skin', '4'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^skin: 4 workers instead of 2\n/) });
    expect((await get('skin')).spec.workers).toMatchObject({ replicas: 4 });
    const { code, stderr } = await run(['scale', 'skin', '5']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: TrainingJob skin in namespace default: .*workers\.replicas is 5, .*lane/);
    expect(stderr).not.toContain('Invalid value');
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect((await get('skin')).spec.workers).toMatchObject({ replicas: 4 });
    expect(await run(['scale', 'skin', '0'])).toMatchObject({ code: 2, stderr: expect.stringContaining('greater than or equal to 1') });
  });

  test('events come oldest first: those of the job, its Jobs and its pods, and of no other', async () => {
    const job = await get('skin');
    const pod = await api.get<AnyObject>('Pod', 'skin-workers-1-yyyyy', { namespace: 'default' });
    const later = new Date(Date.now() + 2000);
    await say(api, pod, { type: 'Warning', reason: 'Failed', message: 'Failed to pull\nimage' }, later);
    await say(api, job, { type: 'Normal', reason: 'Started', message: 'pods are made' });
    await say(
      api,
      { ...job, metadata: { ...job.metadata, uid: 'of-another' } },
      { type: 'Normal', reason: 'Old', message: 'of one before' },
    );
    const { code, stdout } = await run(['events', 'skin']);
    expect(code).toBe(0);
    expect(stdout.split('\n').map(line => line.slice(21))).toEqual([
      'Normal   TrainingJob/skin  Started: pods are made',
      'Warning  Pod/skin-workers-1-yyyyy  Failed: Failed to pull image',
    ]);
    const { events } = JSON.parse((await run(['events', 'skin', '--json'])).stdout);
    expect(events).toMatchObject([{ reason: 'Started' }, { reason: 'Failed', object: 'Pod/skin-workers-1-yyyyy', count: 1 }]);
  });

  describe('wait', () => {
    test('ends when the job is what is waited for', async () => {
      await report(api, 'skin', { phase: 'Running' });
      expect(await run(['wait', 'skin', '--for', 'running'])).toMatchObject({ code: 0, stdout: 'skin is running' });
      expect(await run(['wait', 'never-was', '--for', 'deleted'])).toMatchObject({ code: 0, stdout: 'never-was is deleted' });
      const waiting = run(['wait', 'skin', '--json']);
      await report(api, 'skin', { phase: 'Succeeded', weightsDigest: 'abc' });
      const { code, stdout } = await waiting;
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ name: 'skin', is: 'complete', status: { phase: 'Succeeded', weightsDigest: 'abc' } });
    });

    test('is 6 when the time is over', async () => {
      const { code, stderr } = await run(['wait', 'vessels', '--namespace', 'team-a', '--timeout', '500ms']);
      expect({ code, stderr }).toEqual({
        code: 6,
        stderr:
          'vessels is Pending; waiting until it is complete\nerror: vessels is not complete in time (it is Pending); wait longer with --timeout, or see `status vessels`\n',
      });
    });

    test('gives the exit code of a run that failed, through a restart of the API server', async () => {
      await api.create(jobOf('diverging'));
      let stderr = '';
      let child: ChildProcess | undefined;
      const waiting = run(['wait', 'diverging'], {
        onStart: started => {
          child = started;
          started.stderr!.on('data', chunk => {
            stderr += chunk;
          });
        },
      });
      await vi.waitFor(() => expect(stderr).toBe('diverging is Pending; waiting until it is complete\n'), soon);
      await controlPlane.killApiServer();
      await vi.waitFor(() => expect(stderr).toMatch(/\n.*the API server does not answer .*; still waiting\n$/), soon);
      await controlPlane.startApiServer();
      await vi.waitFor(() => expect(stderr).toMatch(/; still waiting\nthe API server is back\n$/), soon);
      expect(child!.exitCode).toBeNull();
      await report(api, 'diverging', { phase: 'Failed', exitCode: 8, firstFailure: failure });
      expect(await waiting).toMatchObject({
        code: 8,
        stderr: expect.stringMatching(/\nerror: diverging failed: the loss is no number\n$/),
      });
      expect(stderr.match(/does not answer/g)).toHaveLength(1);
    });
  });

  const failure = {
    pod: 'diverging-workers-0-aaaaa',
    component: 'worker',
    cause: 'fatal',
    reason: 'diverged',
    message: 'the loss is no number',
    time: new Date().toISOString(),
  } as const;

  describe('submit --follow', () => {
    test('shows phases, conditions, events and progress as they come, and ends as the run', async () => {
      const seen: string[] = [];
      const following = run(['submit', jobFile('eyes'), '--follow', '--json'], { onLine: line => seen.push(line) });
      await vi.waitFor(async () => expect(await isGone('eyes')).toBe(false), soon);
      const job = await get('eyes');
      await report(api, 'eyes', { phase: 'Starting', workers: 0 });
      await vi.waitFor(() => expect(seen.join()).toContain('Starting'), soon);
      await say(api, job, { type: 'Normal', reason: 'PodsMade', message: '2 workers' });
      await vi.waitFor(() => expect(seen.join()).toContain('PodsMade'), soon);
      await report(api, 'eyes', { phase: 'Running', workers: 2, epoch: 1, epochs: 3, step: 1, steps: 30, loss: '0.9' });
      await vi.waitFor(() => expect(seen.join()).toContain('"loss":"0.9"'), soon);
      await report(api, 'eyes', { phase: 'Succeeded', step: 30, weightsDigest: 'abc' });
      const finished = await following;
      expect(finished).toMatchObject({ code: 0, stderr: '' });
      const events = eventsOf(finished) as unknown as { event: string; phase?: string }[];
      expect(events.flatMap(({ event, phase }) => (event === 'phase' ? [phase] : []))).toEqual(['Starting', 'Running', 'Succeeded']);
      expect(events).toContainEqual(expect.objectContaining({ event: 'event', reason: 'PodsMade', object: 'TrainingJob/eyes' }));
      expect(events).toContainEqual(expect.objectContaining({ event: 'progress', workers: 2, wanted: 2, epoch: 1, step: 1 }));
      expect(events.at(-1)).toMatchObject({ event: 'ended', name: 'eyes', phase: 'Succeeded', weightsDigest: 'abc' });
    });

    test('has the exit code of a run that failed', async () => {
      const following = run(['submit', jobFile('broken'), '--follow']);
      await vi.waitFor(async () => expect(await isGone('broken')).toBe(false), soon);
      await report(api, 'broken', { phase: 'Failed', exitCode: 3, firstFailure: { ...failure, message: 'mask 7.png is truncated' } });
      const { code, stdout, stderr } = await following;
      const submitted = 'submitted broken in namespace default; Ctrl-C ends the looking on, not the job';
      expect({ code, stderr }).toEqual({ code: 3, stderr: `${submitted}\nerror: broken failed: mask 7.png is truncated\n` });
      expect(stdout).toBe('phase Failed');
    });

    test('ends by Ctrl-C with 130, and the job goes on', async () => {
      let stopped = false;
      const following = run(['submit', jobFile('longer'), '--follow'], {
        onLine: (line, child) => {
          if (line === 'phase Running') stopped = child.kill('SIGINT');
        },
      });
      await vi.waitFor(async () => expect(await isGone('longer')).toBe(false), soon);
      await report(api, 'longer', { phase: 'Running' });
      const { code, stderr } = await following;
      expect({ code, stopped }).toEqual({ code: 130, stopped: true });
      expect(stderr).toMatch(
        /\nerror: no longer following; longer goes on\. See it with `.* status longer`, stop it with `.* suspend longer` or `.* cancel longer`\n$/,
      );
      expect(await get('longer')).toMatchObject({ status: { phase: 'Running' } });
    });

    test('ends with 4 when the job is deleted', async () => {
      const following = run(['submit', jobFile('brief'), '--follow'], {
        onLine: line => {
          if (line === 'phase Running') void run(['cancel', 'brief', '--yes']);
        },
      });
      await vi.waitFor(async () => expect(await isGone('brief')).toBe(false), soon);
      await report(api, 'brief', { phase: 'Running' });
      expect(await following).toMatchObject({ code: 4, stderr: expect.stringMatching(/\nerror: brief was deleted\n$/) });
    });
  });

  describe('cancel', () => {
    test('deletes the job and says where its checkpoints stay', async () => {
      expect(await run(['submit', jobFile('mine', '  checkpoint: {url: "s3://bucket/mine"}\n')])).toMatchObject({ code: 0 });
      const { code, stdout } = await run(['cancel', 'mine']);
      expect({ code, stdout }).toEqual({
        code: 0,
        stdout: 'deleted mine from namespace default; its checkpoints stay in s3://bucket/mine',
      });
      expect(await isGone('mine')).toBe(true);
      // What the operator chose it wrote into the resolved job.
      await api.create(jobOf('chosen'));
      const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'chosen-job', namespace: 'default' } };
      await api.create({ ...config, data: { 'job.yaml': 'spec: {checkpoint: {url: "s3://store/default/chosen"}}' } } as AnyObject);
      expect(JSON.parse((await run(['cancel', 'chosen', '--json'])).stdout)).toEqual({
        name: 'chosen',
        namespace: 'default',
        deleted: true,
        checkpoints: 's3://store/default/chosen',
      });
    });

    /** Types the answer when it is asked. */
    const onTerminal = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0: os.execvp(sys.argv[2], sys.argv[2:])
asked = False
while True:
    try: block = os.read(terminal, 65536)
    except OSError: break
    if not block: break
    os.write(1, block)
    if b'[y/N]' in block and not asked:
        asked = True
        os.write(terminal, sys.argv[1].encode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

    test.each([
      ['no', 'n\n', 130, 'nothing was done; longer goes on', false],
      ['Ctrl-C', '\u0003', 130, 'nothing was done; longer goes on', false],
      ['yes', 'y\n', 0, 'deleted longer from namespace default', true],
    ])('asks on a terminal before it ends a job that runs: %s', async (_, answer, code, sentence, gone) => {
      const finished = await run(['cancel', 'longer'], { under: ['python3', '-c', onTerminal, answer] });
      expect(finished.stdout).toContain(
        'longer (Running) will end and be deleted, with its logs; its checkpoints stay where they are. Cancel it? [y/N]',
      );
      expect(finished).toMatchObject({ code, stdout: expect.stringContaining(sentence) });
      expect(await isGone('longer')).toBe(gone);
    });

    test('does not ask about a job that has ended', async () => {
      const { code, stdout } = await run(['cancel', 'over'], { under: ['python3', '-c', onTerminal, ''] });
      expect(code).toBe(0);
      expect(stdout).not.toContain('[y/N]');
    });
  });

  describe('cluster check', () => {
    const apply = async (...objects: object[]) => {
      const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
      expect(await controlPlane.kubectlWith({ input }, 'apply', '-f', '-')).toMatchObject({ code: 0 });
    };
    const check = async () => {
      const { code, stdout } = await run(['cluster', 'check', '--namespace', 'team-b', '--json']);
      const { checks } = code === 0 ? JSON.parse(stdout) : JSON.parse(stdout).error.details;
      const lines = (checks as Finding[]).map(({ name, state, found, fix }) => `${state} ${name}: ${found}${fix ? ` -> ${fix}` : ''}`);
      return { code, lines };
    };
    const quota = async (hard: Record<string, string>) => {
      const metadata = { name: 'small', namespace: 'team-b' };
      await apply({ apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec: { hard } });
      await vi.waitFor(async () => {
        const { status } = await api.get<AnyObject & { status?: { hard?: object } }>('ResourceQuota', 'small', metadata);
        expect(status?.hard).toEqual(hard);
      }, soon);
    };
    const lease = (spec: object) =>
      apply({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'segfleet-operator', namespace: 'system' }, spec });

    test('says of each thing that is missing how to mend it', async () => {
      const args = [
        'operator',
        '--lease=system/segfleet-operator',
        '--store-secret=s3',
        '--library-claim=tensorflow',
        '--namespace=team-b',
      ];
      const marks = { 'app.kubernetes.io/name': 'segfleet' };
      const template = { metadata: { labels: marks }, spec: { containers: [{ name: 'operator', image: 'none.invalid/none:1', args }] } };
      await apply(
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'system' } },
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-b' } },
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'segfleet-operator', namespace: 'system', labels: marks },
          spec: { replicas: 0, selector: { matchLabels: marks }, template },
        },
      );
      await quota({ pods: '0', 'requests.memory': '8Gi', 'requests.nvidia.com/gpu': '0' });
      const { code, lines } = await check();
      expect(code).toBe(12);
      const expected = [
        /^ok API server: Kubernetes v[\d.]+ at https:/,
        /^ok namespace: team-b$/,
        /^warning pod security: team-b holds pods to no standard; .*restricted -> kubectl label namespace team-b pod-security/,
        /^ok kinds: trainingjobs.segfleet.dev v1alpha1 is served, as this version of segfleet knows it$/,
        /^ok kinds: sweeps.segfleet.dev v1alpha1 is served, as this version of segfleet knows it$/,
        /^ok permissions: you may do all that the commands do in team-b$/,
        /^missing operator: system\/segfleet-operator is installed and has never run -> kubectl describe deployment segfleet-operator --namespace system$/,
        /^missing quota: nothing is left of pods \(small\), requests.nvidia.com\/gpu \(small\): pods 0 of 0 used, .* -> end other pods/,
        /^warning resources of pods: pods must say their requests.memory -> give them in pod.resources/,
        /^missing nodes: none of 0 nodes is ready and takes pods -> kubectl get nodes$/,
        /^missing TensorFlow library: there is no PersistentVolumeClaim tensorflow in team-b -> make/,
        /^warning store: the operator has no store -> give checkpoint.url in each job, or store.url to the chart$/,
        /^missing store: there is no Secret s3 in team-b -> kubectl create secret generic s3 --namespace team-b --from-file=credentials/,
      ];
      expect(lines).toEqual(expected.map(line => expect.stringMatching(line)));
    });

    test('is content when all is there', async () => {
      await lease({ holderIdentity: 'pod-1', leaseDurationSeconds: 600, renewTime: `${new Date().toISOString().slice(0, -1)}000Z` });
      await quota({ pods: '9', 'requests.memory': '8Gi', 'requests.nvidia.com/gpu': '4' });
      const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
      const claim = { accessModes: ['ReadOnlyMany'], storageClassName: 'none', resources: { requests: { storage: '1Gi' } } };
      const stringData = { credentials: 'top-secret', config: '' };
      await apply(
        { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team-b', labels } },
        { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's3', namespace: 'team-b' }, stringData },
        { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'tensorflow', namespace: 'team-b' }, spec: claim },
      );
      const nodes = { 'cpu-node': '0', 'gpu-node': '8' };
      for (const name of Object.keys(nodes)) await api.create({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
      // Of nodes that say nothing the control plane says after a while that they are lost.
      const reportNodes = async () => {
        for (const [name, gpus] of Object.entries(nodes)) {
          const conditions = [{ type: 'Ready', status: 'True', lastHeartbeatTime: new Date().toISOString() }];
          const ref = { apiVersion: 'v1', kind: 'Node', metadata: { name } };
          await api.patch(ref, { status: { allocatable: { cpu: '16', 'nvidia.com/gpu': gpus }, conditions } }, 'status');
        }
      };
      await vi.waitFor(async () => {
        await reportNodes();
        const { code, lines } = await check();
        expect(lines.filter(line => line.startsWith('missing'))).toEqual([]);
        expect(code).toBe(0);
        expect(lines).toEqual(
          expect.arrayContaining([
            'ok pod security: team-b enforces restricted; the pods of segfleet meet restricted',
            'ok operator: runs: pod-1 in system leads',
            'ok quota: pods 0 of 9 used, requests.memory 0 of 8Gi used, requests.nvidia.com/gpu 0 of 4 used',
            'ok nodes: 2 of 2 nodes take pods, with 32 processors and 8 GPUs on 1 of them',
            'warning TensorFlow library: tensorflow is Pending -> kubectl describe pvc tensorflow --namespace team-b',
            'ok store: the Secret s3 has config and credentials',
          ]),
        );
        expect(lines.join()).not.toContain('top-secret');
      }, soon);
    });

    test('knows an operator that looks after other namespaces, and one that has stopped', async () => {
      expect((await run(['cluster', 'check', '--namespace', 'team-a'])).stdout).toMatch(
        /^missing +operator +system\/segfleet-operator looks after team-b only\n +add team-a to the namespaces of the chart/m,
      );
      await lease({ holderIdentity: 'pod-1', leaseDurationSeconds: 1, renewTime: '2026-01-01T00:00:00.000000Z' });
      const { code, lines } = await check();
      expect(code).toBe(12);
      expect(lines).toContainEqual(
        expect.stringMatching(
          /^missing operator: does not run: its lease was last renewed at 2026-01-01T00:00:00.000000Z -> kubectl describe/,
        ),
      );
    });
  });

  describe('a user whose rights end', () => {
    const kubeconfigs = new Map<string, string>();
    const as = (user: string) => {
      const kubeconfig = kubeconfigs.get(user) ?? controlPlane.kubeconfigOf(user);
      kubeconfigs.set(user, kubeconfig);
      return { env: { KUBECONFIG: kubeconfig } };
    };

    test.each([
      [['list']],
      [['status', 'skin']],
      [['suspend', 'skin']],
      [['cancel', 'skin']],
      [['events', 'skin']],
      [['submit', jobFile('forbidden')]],
    ])('is told so, with 5: %j', async words => {
      const { code, stdout, stderr } = await run(words, as('nobody'));
      expect({ code, stdout }).toEqual({ code: 5, stdout: '' });
      expect(stderr).toMatch(/^error: .*User "nobody" cannot .* ask whoever runs the cluster for that right, or see `cluster check`\n$/);
    });

    test('sees in the check which rights are missing, and only warnings where nothing may be seen', async () => {
      const rules = [
        { apiGroups: ['segfleet.dev'], resources: ['trainingjobs'], verbs: ['get', 'list', 'watch', 'create'] },
        { apiGroups: [''], resources: ['pods', 'events', 'pods/log'], verbs: ['get', 'list', 'watch'] },
      ];
      const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'reader', namespace: 'default' }, rules };
      await controlPlane.kubectlWith({ input: JSON.stringify(role) }, 'apply', '-f', '-');
      await controlPlane.kubectl('create', 'rolebinding', 'reader', '--role=reader', '--user=reader');
      await vi.waitFor(async () => expect(await run(['list'], as('reader'))).toMatchObject({ code: 0 }), soon);
      const { code, stdout } = await run(['cluster', 'check', '--json'], as('reader'));
      expect(code).toBe(12);
      const { checks } = JSON.parse(stdout).error.details;
      const of = (wanted: string) => checks.filter(({ name }: { name: string }) => name === wanted);
      expect(of('permissions').map(({ state, found }: { state: string; found: string }) => [state, found])).toEqual([
        ['missing', 'you may not suspend and resume jobs in default: patch trainingjobs.segfleet.dev'],
        ['missing', 'you may not cancel jobs in default: delete trainingjobs.segfleet.dev'],
        ['missing', 'you may not scale jobs in default: patch trainingjobs.segfleet.dev/scale'],
      ]);
      for (const name of ['namespace', 'quota', 'nodes']) {
        expect(of(name)).toEqual([{ name, state: 'warning', found: 'you have no right to see it', fix: 'ask whoever runs the cluster' }]);
      }
      expect(of('kinds')).toEqual([
        { name: 'kinds', state: 'ok', found: 'trainingjobs.segfleet.dev v1alpha1 is served' },
        { name: 'kinds', state: 'ok', found: 'sweeps.segfleet.dev v1alpha1 is served' },
      ]);
      expect(of('operator')).toMatchObject([{ state: 'warning' }]);
    });
  });

  describe('logs', () => {
    let kubelet: LogKubelet;
    beforeAll(async () => {
      kubelet = await LogKubelet.start(api);
      await api.create(jobOf('logged'));
      await report(api, 'logged', { phase: 'Running' });
      for (const [pod, index] of [['logged-coordinator-0-aaaaa'], ['logged-workers-1-aaaaa', 1]] as const) {
        await makePod(api, pod, { job: 'logged', component: index === undefined ? 'coordinator' : 'worker', index, node: kubelet.node });
        await setPod(api, pod, 'Running', { running: { startedAt: new Date().toISOString() } });
      }
      kubelet.write('logged-coordinator-0-aaaaa', '2026-11-26T05:00:01Z', 'listening');
      kubelet.write('logged-workers-1-aaaaa', '2026-11-26T05:00:02Z', 'joins \u001b[2J');
      kubelet.write('logged-coordinator-0-aaaaa', '2026-11-26T05:00:03Z', 'step 1');
    });
    afterAll(() => kubelet[Symbol.asyncDispose]());

    test('are one text, each line with its writer', async () => {
      const { code, stdout, stderr } = await run(['logs', 'logged']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout.split('\n')).toEqual(['coordinator | listening', 'worker-1    | joins \ufffd[2J', 'coordinator | step 1']);
      const { lines } = JSON.parse((await run(['logs', 'logged', '--tail', '1', '--json'])).stdout);
      expect(lines).toEqual([
        { time: '2026-11-26T05:00:02Z', pod: 'logged-workers-1-aaaaa', component: 'worker', index: 1, text: 'joins \u001b[2J' },
        { time: '2026-11-26T05:00:03Z', pod: 'logged-coordinator-0-aaaaa', component: 'coordinator', text: 'step 1' },
      ]);
    });

    test('are followed until Ctrl-C, one line of JSON a line', async () => {
      const finished = await run(['logs', 'logged', '--follow', '--tail', '0', '--json'], {
        onStart: async () => {
          await vi.waitFor(() => expect(kubelet.followersOf('logged-workers-1-aaaaa')).toBe(1), soon);
          kubelet.write('logged-workers-1-aaaaa', '2026-11-26T05:00:04Z', 'a new line');
        },
        onLine: (line, child) => line.includes('a new line') && child.kill('SIGINT'),
      });
      expect(finished.code).toBe(130);
      const [line, error] = eventsOf(finished) as unknown[];
      expect(line).toMatchObject({ event: 'line', component: 'worker', index: 1, text: 'a new line' });
      expect(error).toMatchObject({
        error: { code: 'interrupted', message: expect.stringMatching(/^no longer following; logged goes on/) },
      });
    });
  });
});
