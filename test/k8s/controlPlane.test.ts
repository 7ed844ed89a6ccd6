/**
 * The Kubernetes that other tests run against: it is a real one, its API server can fail as they need it, and nothing of it is left.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type ControlPlane, startControlPlane } from '../tools/controlPlane.ts';
import { hasKubernetes } from '../tools/tools.ts';

const soon = { timeout: 20_000, interval: 50 };

describe.skipIf(!hasKubernetes())('a control plane', () => {
  let controlPlane: ControlPlane;
  beforeAll(async () => {
    controlPlane = await startControlPlane();
  });
  afterAll(() => controlPlane[Symbol.asyncDispose]());

  const apply = async (object: object) =>
    expect(await controlPlane.kubectlWith({ input: JSON.stringify(object) }, 'apply', '-f', '-')).toMatchObject({ code: 0, stderr: '' });

  test('makes the pods of an Indexed Job, which wait for a node', async () => {
    const container = { name: 'main', image: 'none.invalid/none:1' };
    const template = { spec: { restartPolicy: 'Never', containers: [container] } };
    const spec = { completions: 3, parallelism: 3, completionMode: 'Indexed', template };
    await apply({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'three' }, spec });
    await vi.waitFor(async () => {
      const { stdout } = await controlPlane.kubectl('get', 'pods', '--selector=job-name=three', '--output=json');
      const pods: Pod[] = JSON.parse(stdout).items;
      const seen = pods.map(({ metadata, status }) => [metadata.labels['batch.kubernetes.io/job-completion-index'], whyWaiting(status)]);
      expect(seen.sort()).toEqual(['0', '1', '2'].map(index => [index, 'Unschedulable']));
    }, soon);
  });

  test.each([
    ['a user', 'alice', [], { kind: 'User', name: 'alice' }],
    ['a group', 'bob', ['trainers', 'readers'], { kind: 'Group', name: 'readers' }],
  ])('lets %s do what RBAC allows, and nothing before', async (_, user, groups, subject) => {
    const kubeconfig = controlPlane.kubeconfigOf(user, groups);
    const attempt = () => controlPlane.kubectlWith({ kubeconfig }, 'get', 'pods');
    expect(await attempt()).toMatchObject({ code: 1, stderr: expect.stringContaining(`User "${user}" cannot list resource "pods"`) });
    await bind(user, { apiGroup: 'rbac.authorization.k8s.io', ...subject });
    await vi.waitFor(async () => expect(await attempt()).toMatchObject({ code: 0 }), soon);
    expect(await controlPlane.kubectlWith({ kubeconfig }, 'delete', 'pods', '--all')).toMatchObject({ code: 1 });
  });

  test('knows a ServiceAccount by its token, and users of the client library by their certificate', async () => {
    await controlPlane.kubectl('create', 'serviceaccount', 'robot');
    await bind('robot', { kind: 'ServiceAccount', name: 'robot', namespace: 'default' });
    const allowed = await controlPlane.serviceAccountKubeconfig('default', 'robot');
    await vi.waitFor(async () => expect(await podsAsSeenWith(allowed)).toBeInstanceOf(Array), soon);
    await expect(podsAsSeenWith(controlPlane.kubeconfigOf('carol'))).rejects.toMatchObject({ code: 403 });
  });

  test.each([
    ['killed', () => controlPlane.killApiServer()],
    ['stopped', () => controlPlane.stopApiServer()],
  ])('keeps what it had when its API server is %s and started again', async (name, end) => {
    const [before, objects] = [controlPlane.pids['kube-apiserver'], ['configmap', name, '--output=jsonpath={.data.is}']];
    expect(await controlPlane.kubectl('create', 'configmap', name, '--from-literal=is=here')).toMatchObject({ code: 0 });
    await end();
    expect(await controlPlane.kubectl('get', ...objects)).toMatchObject({ code: 1, stderr: expect.stringContaining('refused') });
    await controlPlane.startApiServer();
    expect(await controlPlane.kubectl('get', ...objects)).toEqual({ code: 0, stdout: 'here', stderr: '' });
    expect(controlPlane.pids['kube-apiserver']).not.toBe(before);
    // Its controllers go on too.
    expect(await controlPlane.kubectl('create', 'namespace', name)).toMatchObject({ code: 0 });
    const made = await controlPlane.kubectl('wait', '--for=create', 'serviceaccount/default', '--namespace', name, '--timeout=60s');
    expect(made).toMatchObject({ code: 0 });
  });

  test('says nothing while its API server is paused, and goes on', async () => {
    controlPlane.pauseApiServer();
    const { code, stderr } = await controlPlane.kubectl('get', 'pods', '--request-timeout=500ms');
    controlPlane.resumeApiServer();
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/timeout|deadline/i) });
    expect(await controlPlane.kubectl('get', 'pods')).toMatchObject({ code: 0 });
  });

  async function bind(name: string, subject: object): Promise<void> {
    const [apiVersion, metadata] = ['rbac.authorization.k8s.io/v1', { name, namespace: 'default' }];
    await apply({ apiVersion, kind: 'Role', metadata, rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }] });
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name };
    await apply({ apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects: [subject] });
  }
});

describe.skipIf(!hasKubernetes())('nothing is left of a control plane', () => {
  let [parent, folder] = ['', ''];
  beforeAll(() => {
    parent = mkdtempSync(join(tmpdir(), 'segfleet-control-plane-'));
    folder = join(parent, 'control plane');
  });
  afterAll(() => rmSync(parent, { recursive: true }));
  const left = () => ({ processes: processesIn(folder), folder: existsSync(folder) });
  const nothing = { processes: [], folder: false };

  test('that is disposed of; where a part of it ended by itself, that is said', async () => {
    const controlPlane = await startControlPlane({ folder });
    expect(processesIn(folder).sort()).toEqual(Object.values(controlPlane.pids).sort());
    expect(Object.keys(controlPlane.pids)).toHaveLength(4);
    process.kill(controlPlane.pids['kube-scheduler']!, 'SIGKILL');
    await vi.waitFor(() => expect(Object.keys(controlPlane.pids)).toHaveLength(3), soon);
    await expect(controlPlane[Symbol.asyncDispose]()).rejects.toThrow(/kube-scheduler.log \(SIGKILL\)/);
    expect(left()).toEqual(nothing);
  });

  test('that did not start: the error has its words', async () => {
    await expect(startControlPlane({ folder, apiServerArgs: ['--none-such'] })).rejects.toThrow(
      /kube-apiserver.*unknown flag: --none-such/s,
    );
    expect(left()).toEqual(nothing);
  });

  test('whose process is killed', async () => {
    const module = new URL('../tools/controlPlane.ts', import.meta.url).href;
    const script = `const { startControlPlane } = await import(${JSON.stringify(module)});
      await startControlPlane({ folder: ${JSON.stringify(folder)} });
      console.log('started');
      setInterval(() => {}, 1e6);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const said = await new Promise(resolve => child.stdout.once('data', chunk => resolve(String(chunk))).once('end', () => resolve('')));
    expect(said).toBe('started\n');
    expect(processesIn(folder)).toHaveLength(4);
    child.kill('SIGKILL');
    await vi.waitFor(() => expect(left()).toEqual(nothing), soon);
  });
});

interface Pod {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly reason: string }[] };
}

const whyWaiting = ({ conditions = [] }: Pod['status']): string | undefined =>
  conditions.find(({ type }) => type === 'PodScheduled')?.reason;

async function podsAsSeenWith(kubeconfig: string) {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  return (await config.makeApiClient(CoreV1Api).listNamespacedPod({ namespace: 'default' })).items;
}

/** Ids of those that work in a folder, also in one that has been removed. */
function processesIn(folder: string): number[] {
  const ids = readdirSync('/proc').filter(name => /^\d+$/.test(name));
  return ids.filter(id => [folder, `${folder} (deleted)`].includes(placeOf(id) ?? '')).map(Number);
}

function placeOf(id: string): string | undefined {
  try {
    return readlinkSync(`/proc/${id}/cwd`);
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}
