/**
 * A day of a platform engineer, by the commands of the README alone, on a real cluster: install, check, submit, watch, scale, kill, suspend, resume,
 * upgrade, cancel, uninstall; and nothing is left behind.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Finished } from '../tools/cli.ts';
import { canStartCluster } from '../tools/cluster.ts';
import { Installation } from '../tools/installation.ts';
import { writeJob } from '../tools/jobs.ts';

const can = canStartCluster();
let at: Installation;
let folder: string;
let before: readonly string[];
let followed: Promise<Finished>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'segfleet-operations-'));
  if (!can) return;
  at = await Installation.start({ nodes: 2 });
  await at.prepare();
  before = await everything();
  await at.helm('install');
}, 300_000);

afterAll(async () => {
  await at?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** More epochs than there is patience for: it goes on until this day is over. */
const job = () =>
  writeJob(
    folder,
    `apiVersion: segfleet.dev/v1alpha1
kind: TrainingJob
metadata: {name: walk}
spec:
  data: {path: s3://data/nuclei, size: {height: 48, width: 48}, channels: 1, split: {validation: 0.2}}
  model: {name: unet, width: 16}
  training: {epochs: 10000, batch: 8, threads: 1}
  workers: {replicas: 2, max: 4}
`,
    'walk.yaml',
  );

/** Names of all objects of the cluster that stay, without what Kubernetes makes for itself as time goes by. */
async function everything(): Promise<string[]> {
  const kinds = async (namespaced: boolean) =>
    (await at.cluster.kubectl(['api-resources', '--verbs=list', `--namespaced=${namespaced}`, '--output=name']))
      .split('\n')
      .filter(kind => kind && !/^(events|componentstatuses)(\.|$)/.test(kind));
  const names = async (...words: string[]) => (await at.cluster.kubectl(['get', ...words, '--no-headers', '--output=name'])).split('\n');
  const found = await Promise.all([
    names((await kinds(false)).join(',')),
    ...['default', 'kube-system', at.namespace, 'segfleet'].map(async namespace =>
      (await names((await kinds(true)).join(','), '--namespace', namespace)).map(name => `${namespace} ${name}`),
    ),
  ]);
  // The namespace of the release is the user's: Helm leaves it, and Kubernetes puts these two into each.
  const ofNamespace = /^(namespace\/segfleet|segfleet (configmap\/kube-root-ca.crt|serviceaccount\/default)|\S* ?)$/;
  return found
    .flat()
    .filter(name => !ofNamespace.test(name))
    .sort();
}

const there = ['--namespace', 'lab'];
const uids = async () => new Map((await at.pods('walk', 'worker')).map(({ metadata }) => [metadata.name, metadata.uid]));

describe.skipIf(!can)('a day on a cluster', () => {
  test('the check finds nothing to mend', async () => {
    const { code, stdout, stderr } = await at.segfleet(['cluster', 'check', ...there]);
    expect(code, stdout + stderr).toBe(0);
    // These nodes have no GPUs.
    expect(stdout.match(/^(missing|warning) +\w+/gm)).toEqual([expect.stringMatching(/^warning +nodes$/)]);
  });

  test('a job is submitted and runs, and each command tells of it', async () => {
    await new Promise<void>((resolve, reject) => {
      followed = at.segfleet(['submit', job(), ...there, '--follow'], { onLine: () => resolve() });
      void followed.then(({ stderr }) => reject(new Error(stderr)));
    });
    await at.succeed('wait', 'walk', ...there, '--for', 'running', '--timeout', '3m');
    await at.until('walk', 'step 5', ({ step }) => step >= 5);
    expect(await at.succeed('list', ...there)).toMatch(/│ walk +│ Running +│ +2\/2 /);
    const status = await at.succeed('status', 'walk', ...there);
    for (const pod of await at.pods('walk')) expect(status).toContain(pod.metadata.name);
    expect(await at.succeed('events', 'walk', ...there)).toMatch(/ TrainingJob\/walk +Started: /);
    const logs = await at.succeed('logs', 'walk', ...there);
    for (const writer of ['coordinator', 'worker-0', 'worker-1']) expect(logs).toMatch(new RegExp(`^${writer} +\\| `, 'm'));
  });

  test('it is scaled, and a worker is killed: nobody else is started again', async () => {
    const two = await uids();
    await at.succeed('scale', 'walk', '3', ...there);
    await at.until('walk', 'three workers', ({ workers }) => workers === 3);
    const three = await uids();
    expect([...three]).toEqual(expect.arrayContaining([...two]));
    const [killed] = three.keys();
    await at.kubectl('delete', 'pod', killed, '--wait=false');
    await at.until('walk', 'a disruption, and three workers', ({ restarts, workers }) => restarts?.disruptions === 1 && workers === 3);
    const after = await uids();
    expect([...after.values()].filter(uid => [...three.values()].includes(uid))).toHaveLength(2);
  });

  test('the operator is upgraded, and the job does not notice', async () => {
    const before = await uids();
    const { step } = (await at.get('trainingjob', 'walk')).status;
    await at.helm('upgrade', { replicas: 1 });
    await at.until('walk', 'later steps, told by the new operator', ({ step: now }) => now > step + 5);
    expect(await uids()).toEqual(before);
  });

  test('it is suspended, waited for and resumed', async () => {
    await at.succeed('suspend', 'walk', ...there);
    await at.succeed('wait', 'walk', ...there, '--for', 'suspended', '--timeout', '2m');
    const { step, checkpointStep } = (await at.get('trainingjob', 'walk')).status;
    expect(checkpointStep).toBe(step);
    expect((await at.pods('walk')).filter(({ status }) => status.phase === 'Running')).toEqual([]);
    await at.succeed('resume', 'walk', ...there);
    await at.until('walk', 'a later step', ({ step: now, phase }) => phase === 'Running' && now > step);
  });

  test('it is cancelled, its checkpoints stay, and who followed it hears of that', async () => {
    const [url] = /s3:[^ ]+/.exec(await at.succeed('cancel', 'walk', ...there, '--yes'))!;
    const { code, stdout, stderr } = await followed;
    expect(code, stderr).toBe(4);
    for (const what of ['Running', 'Suspended', 'epoch 1']) expect(stdout).toContain(what);
    expect(await at.succeed('checkpoint', 'list', url)).toMatch(/\d/);
  });

  test('segfleet is uninstalled with its kinds, and nothing is left behind', async () => {
    await at.runHelm('uninstall', 'segfleet', '--namespace', 'segfleet', '--wait');
    await at.cluster.kubectl(['delete', 'crd', 'trainingjobs.segfleet.dev', 'sweeps.segfleet.dev', '--timeout=60s']);
    await expect
      .poll(async () => (await everything()).filter(name => !before.includes(name)), { timeout: 60_000, interval: 1000 })
      .toEqual([]);
    for (const node of [1, 2])
      expect(await at.cluster.exec(node, 'sh', '-c', 'grep -l segfleet[.]mjs /proc/[0-9]*/cmdline || true')).toBe('');
  });
});
