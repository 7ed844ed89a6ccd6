/**
 * The cluster that other tests run on is a real one: its nodes run pods, pods find each other and the API server, a node can be lost and
 * come back, and nothing is left of it afterwards.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { smallImage } from '../tools/cluster/smallImage.ts';
import { Cluster, canStartCluster, startCluster } from '../tools/cluster.ts';
import { kubernetes } from '../tools/tools.ts';

const can = canStartCluster();
let files: string;
let folder: string;
let cluster: Cluster;

const apply = (...objects: readonly object[]) =>
  cluster.kubectl(['apply', '--filename', '-'], { stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }) });
const waitFor = (what: string, condition: string) => cluster.kubectl(['wait', what, `--for=${condition}`, '--timeout=60s']);

/** Runs a script. */
const container = (script: string, more: object = {}) => ({
  name: 'main',
  image: smallImage,
  imagePullPolicy: 'Never',
  command: ['sh', '-ec', script],
  ...more,
});
const pod = (name: string, script: string, { spec = {}, main = {} } = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: name } },
  spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 0, containers: [container(script, main)], ...spec },
});

beforeAll(async () => {
  files = mkdtempSync(join(tmpdir(), 'segfleet-cluster-test-'));
  folder = join(files, 'cluster');
  if (can) cluster = await startCluster({ nodes: 2, tolerateSeconds: 2, folder });
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  rmSync(files, { recursive: true });
});

describe.skipIf(!can)('a cluster of two nodes', () => {
  test('has both of them ready', async () => {
    expect(await cluster.kubectl(['wait', 'node', '--all', '--for=condition=Ready', '--output=name'])).toBe('node/node-1\nnode/node-2\n');
  });

  test('has an Indexed Job of a pod on each node, which find each other by name', async () => {
    // Each is asked once, and ends when it has been and has itself an answer.
    const script = `
      nc -l -p 8080 -e echo "$NODE" &
      until answer=$(nc talk-$((1 - JOB_COMPLETION_INDEX)).talk 8080 2>/dev/null); do sleep 0.2; done
      echo "$NODE asked $answer"
      wait`;
    const node = { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } };
    const apart = { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'talk' } } };
    await apply(
      { apiVersion: 'v1', kind: 'Service', metadata: { name: 'talk' }, spec: { clusterIP: 'None', selector: { app: 'talk' } } },
      {
        apiVersion: 'batch/v1',
        kind: 'Job',
        metadata: { name: 'talk' },
        spec: {
          completionMode: 'Indexed',
          completions: 2,
          parallelism: 2,
          template: {
            metadata: { labels: { app: 'talk' } },
            spec: {
              subdomain: 'talk',
              restartPolicy: 'Never',
              affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [apart] } },
              containers: [container(script, { env: [node] })],
            },
          },
        },
      },
    );
    await waitFor('job/talk', 'condition=Complete');
    const logs = await cluster.kubectl(['logs', '--selector=app=talk']);
    expect(logs.split('\n').sort()).toEqual(['', 'node-1 asked node-2', 'node-2 asked node-1']);
  });

  test('answers a pod that comes with the token of its ServiceAccount, and only what that one may do', async () => {
    await apply(
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'reader' } },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name: 'reader' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
        subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'default' }],
      },
      pod(
        'reader',
        '/kubectl auth whoami -o jsonpath={.status.userInfo.username}; echo; /kubectl get pod reader -o name; /kubectl delete pod reader || true',
        {
          main: { volumeMounts: [{ name: 'kubectl', mountPath: '/kubectl', readOnly: true }] },
          // A file of this machine is one of the node's.
          spec: { serviceAccountName: 'reader', volumes: [{ name: 'kubectl', hostPath: { path: kubernetes('kubectl') } }] },
        },
      ),
    );
    await waitFor('pod/reader', 'jsonpath={.status.phase}=Succeeded');
    const [who, name, refusal] = (await cluster.kubectl(['logs', 'reader'])).split('\n');
    expect([who, name]).toEqual(['system:serviceaccount:default:reader', 'pod/reader']);
    expect(refusal).toContain('pods "reader" is forbidden');
  });

  test('runs a command in a pod that may do nothing, on either node', async () => {
    const restricted = {
      runAsNonRoot: true,
      runAsUser: 65532,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    };
    for (const nodeName of ['node-1', 'node-2']) {
      await apply(pod(`on-${nodeName}`, 'sleep 1000000', { spec: { nodeName }, main: { securityContext: restricted } }));
      await waitFor(`pod/on-${nodeName}`, 'condition=Ready');
      const said = await cluster.kubectl(['exec', '--stdin', `on-${nodeName}`, '--', 'sh', '-c', 'id -u; cat'], {
        stdin: 'in',
      });
      expect(said).toBe('65532\nin');
    }
  });

  test('is reached from this machine where a test asks for it, and reaches what the test puts into its network', async () => {
    writeFileSync(join(folder, 'page'), 'from this machine');
    cluster.spawnInNetwork(1, '/bin/busybox', ['httpd', '-f', '-p', `${cluster.address}:9000`, '-h', folder], { stdio: 'ignore' });
    const fetchAndServe = `
      mkdir /www
      until wget -qO /www/page http://${cluster.address}:9000/page; do sleep 0.2; done
      exec httpd -f -p 8080 -h /www`;
    const probe = { httpGet: { path: '/page', port: 8080 }, periodSeconds: 1 };
    await apply(
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
      },
      pod('web', fetchAndServe, { spec: { nodeName: 'node-2' }, main: { readinessProbe: probe } }),
    );
    await waitFor('pod/web', 'condition=Ready');
    const [podAddress, serviceAddress] = await Promise.all([
      cluster.kubectl(['get', 'pod', 'web', '--output=jsonpath={.status.podIP}']),
      cluster.kubectl(['get', 'service', 'web', '--output=jsonpath={.spec.clusterIP}']),
    ]);
    for (const port of await Promise.all([cluster.relay(9000), cluster.relay(8080, podAddress), cluster.relay(80, serviceAddress)])) {
      await vi.waitFor(async () => expect(await (await fetch(`http://127.0.0.1:${port}/page`)).text()).toBe('from this machine'), 10_000);
    }
  });

  test('kills a container that takes more memory than it may', async () => {
    await apply(pod('greedy', 'x=a; while :; do x=$x$x; done', { main: { resources: { limits: { memory: '32Mi' } } } }));
    await waitFor('pod/greedy', 'jsonpath={.status.phase}=Failed');
    expect(
      await cluster.kubectl(['get', 'pod', 'greedy', '--output=jsonpath={.status.containerStatuses[0].state.terminated.reason}']),
    ).toBe('OOMKilled');
  });

  test('takes an image later, too', async () => {
    await cluster.importImage(2, join(folder, 'busybox.tar'));
    expect(await cluster.exec(2, 'ctr', '--namespace', 'k8s.io', 'images', 'ls', '--quiet')).toContain(smallImage);
  });

  test('loses a node, and its pods with it, and gets it back', async () => {
    await apply(pod('lost', 'sleep 1000000', { spec: { nodeName: 'node-2' } }));
    await waitFor('pod/lost', 'condition=Ready');

    await cluster.stopNode(2);
    await waitFor('node/node-2', 'condition=Ready=Unknown');
    await waitFor('pod/lost', 'jsonpath={.metadata.deletionTimestamp}');
    await expect(cluster.exec(2, 'true')).rejects.toThrow('node-2 does not run');

    await cluster.startNode(2);
    expect(await waitFor('node/node-2', 'condition=Ready')).toContain('condition met');
    await waitFor('pod/lost', 'delete');
    await apply(pod('again', 'true', { spec: { nodeName: 'node-2' } }));
    await waitFor('pod/again', 'jsonpath={.status.phase}=Succeeded');
  });

  test('is gone without a trace when it is disposed of', async () => {
    expect(tracesOf(folder, cluster.id)).not.toEqual([]);
    await cluster[Symbol.asyncDispose]();
    expect(tracesOf(folder, cluster.id)).toEqual([]);
  });
});

describe.skipIf(!can)('without a trace', () => {
  test('goes one that did not start', async () => {
    const place = join(files, 'failing');
    const failing = new Cluster({ folder: place, images: [join(files, 'nowhere.tar')] });
    await expect(failing.start()).rejects.toThrow('nowhere.tar');
    expect(tracesOf(place, failing.id)).toEqual([]);
  });

  test('goes one whose test was killed', async () => {
    const place = join(files, 'killed');
    const script = `
      import { startCluster } from ${JSON.stringify(join(import.meta.dirname, '../tools/cluster.ts'))};
      const cluster = await startCluster({ folder: ${JSON.stringify(place)} });
      cluster.spawnInNetwork(1, 'sleep', ['1000000', ${JSON.stringify(place)}]);
      console.log(cluster.id);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [id] = await once(child.stdout, 'data');
    child.kill('SIGKILL');
    expect(String(id)).toMatch(/^segfleet-/);
    await vi.waitFor(() => expect(tracesOf(place, String(id).trim())).toEqual([]), { timeout: 10_000, interval: 50 });
  });
});

/** What there is of a cluster on this machine: files, processes, mounts, control groups. */
function tracesOf(folder: string, id: string): string[] {
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      // A process that has ended meanwhile.
      return '';
    }
  };
  const processes = readdirSync('/proc').filter(pid => /^\d+$/.test(pid) && Number(pid) !== process.pid);
  const commands = processes.map(pid => read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')).filter(command => command.includes(folder));
  const mounts = read('/proc/self/mounts').split('\n');
  const groups = read('/proc/self/mounts')
    .split('\n')
    .map(line => line.split(' '))
    .filter(([, , type]) => type?.startsWith('cgroup'));
  return [
    ...(existsSync(folder) ? [folder] : []),
    ...commands,
    ...mounts.filter(mount => mount.includes(folder)),
    ...groups.flatMap(([, tree]) =>
      readdirSync(tree!)
        .filter(name => name.startsWith(id))
        .map(name => join(tree!, name)),
    ),
  ];
}
