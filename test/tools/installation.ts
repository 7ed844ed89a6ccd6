/**
 * segfleet as a platform engineer has it: a cluster of real nodes, the image of this repository, the chart, an S3 server that pods reach, and a
 * namespace that enforces the restricted pod security standard.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachedLibraryFolder } from '../../trainer/engine/library.ts';
import { type CliOptions, type Finished, segfleet } from './cli.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { buildImage } from './image.ts';
import { output } from './programs.ts';
import { helm, versitygw } from './tools.ts';

export const image = 'segfleet.test/segfleet:test';
const gatewayPort = 7070;
const credentials = { AWS_ACCESS_KEY_ID: 'segfleet', AWS_SECRET_ACCESS_KEY: 'segfleet-secret', AWS_REGION: 'us-east-1' };
const nuclei = new URL('../../examples/nuclei', import.meta.url).pathname;
const chart = new URL('../../charts/segfleet', import.meta.url).pathname;

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

export interface RunningPod {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly nodeName: string };
}

export class Installation implements AsyncDisposable {
  readonly cluster: Cluster;
  /** In which jobs run. */
  readonly namespace = 'lab';
  /** The buckets are the folders in here. */
  readonly buckets: string;
  /** For programs on this machine: the S3 server and the cluster. */
  readonly env: Record<string, string>;
  readonly #stack: AsyncDisposableStack;

  private constructor(cluster: Cluster, buckets: string, env: Record<string, string>, stack: AsyncDisposableStack) {
    this.cluster = cluster;
    this.buckets = buckets;
    this.env = env;
    this.#stack = stack;
  }

  static async start({ nodes }: { nodes: number }): Promise<Installation> {
    await using stack = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), 'segfleet-installation-'));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const tar = join(folder, 'image.tar');
    await buildImage({ out: tar, ref: image });
    const cluster = stack.use(await startCluster({ nodes, images: [tar], tolerateSeconds: 3 }));

    const buckets = join(folder, 'buckets');
    for (const bucket of ['data', 'runs']) mkdirSync(join(buckets, bucket), { recursive: true });
    const env = {
      PATH: process.env.PATH!,
      ROOT_ACCESS_KEY: credentials.AWS_ACCESS_KEY_ID,
      ROOT_SECRET_KEY: credentials.AWS_SECRET_ACCESS_KEY,
    };
    const words = ['--port', `${cluster.address}:${gatewayPort}`, '--quiet', 'posix', buckets];
    cluster.spawnInNetwork(1, versitygw, words, { env, stdio: 'ignore' });
    const here = {
      ...credentials,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${await cluster.relay(gatewayPort)}`,
      KUBECONFIG: cluster.kubeconfig,
    };
    return new Installation(cluster, buckets, here, stack.move());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack[Symbol.asyncDispose]();
  }

  /** What jobs need: a namespace with credentials of the store and the TensorFlow library in a volume, and nuclei in shards in s3://data/nuclei. */
  async prepare(): Promise<void> {
    const { namespace, cluster } = this;
    const capacity = { storage: '2Gi' };
    const store = {
      credentials: `[default]\naws_access_key_id = ${credentials.AWS_ACCESS_KEY_ID}\naws_secret_access_key = ${credentials.AWS_SECRET_ACCESS_KEY}\n`,
      config: `[default]\nregion = us-east-1\nendpoint_url = http://${cluster.address}:${gatewayPort}\n`,
    };
    await this.apply(
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespace, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
      },
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'store', namespace }, stringData: store },
      {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name: 'tensorflow' },
        spec: {
          capacity,
          accessModes: ['ReadOnlyMany'],
          storageClassName: '',
          hostPath: { path: cachedLibraryFolder(), type: 'Directory' },
          claimRef: { namespace, name: 'tensorflow' },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: 'tensorflow', namespace },
        spec: { accessModes: ['ReadOnlyMany'], storageClassName: '', volumeName: 'tensorflow', resources: { requests: capacity } },
      },
    );
    await this.succeed('dataset', 'shard', nuclei, '--out', 's3://data/nuclei');
  }

  /** `helm install`, or whatever verb, of the chart, and waits until it is ready. */
  helm(verb: 'install' | 'upgrade', settings: Readonly<Record<string, string | number>> = {}): Promise<string> {
    const [repository, tag] = image.split(':');
    const all = {
      'image.repository': repository,
      'image.tag': tag,
      'image.pullPolicy': 'Never',
      'store.url': 's3://runs',
      'store.secret': 'store',
      'store.ports': `{${gatewayPort}}`,
      libraryClaim: 'tensorflow',
      ...settings,
    };
    const set = Object.entries(all).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
    return this.runHelm(verb, 'segfleet', chart, '--namespace', 'segfleet', '--create-namespace', '--wait', '--timeout', '120s', ...set);
  }

  runHelm(...words: readonly string[]): Promise<string> {
    return output([helm, ...words, '--kubeconfig', this.cluster.kubeconfig]);
  }

  kubectl(...words: readonly string[]): Promise<string> {
    return this.cluster.kubectl(['--namespace', this.namespace, ...words]);
  }

  apply(...objects: readonly object[]): Promise<string> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    return this.cluster.kubectl(['apply', '--filename', '-'], { stdin: JSON.stringify(list) });
  }

  /** A job file as `kubectl apply` takes it. */
  applyFile(file: string): Promise<string> {
    return this.kubectl('apply', '--filename', file);
  }

  segfleet(words: readonly string[], options: CliOptions = {}): Promise<Finished> {
    return segfleet(words, { ...options, env: { ...this.env, ...options.env } });
  }

  /** Its standard output. @throws unless it ends with 0 */
  async succeed(...words: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.segfleet(words);
    if (code !== 0) throw new Error(`segfleet ${words.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever it likes
  async get(kind: string, name: string): Promise<any> {
    return JSON.parse(await this.kubectl('get', kind, name, '--output', 'json'));
  }

  // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever it likes
  async pods(job: string, component?: 'coordinator' | 'worker'): Promise<any[]> {
    const selector = `segfleet.dev/job=${job}${component ? `,segfleet.dev/component=${component}` : ''}`;
    return JSON.parse(await this.kubectl('get', 'pods', '--selector', selector, '--output', 'json')).items;
  }

  /** A signal to the process that has the name of its pod among its arguments. @param name as KILL */
  signal(name: string, pod: RunningPod): Promise<string> {
    return this.#onProcesses(pod, `kill -${name} $processes`);
  }

  /** Lets it run for a tenth of its time, a hundredth of a second at once, as long as it lives. What is varied is its speed: nothing waits for this. */
  async slowDown(pod: RunningPod): Promise<void> {
    await this.#onProcesses(pod, 'while kill -STOP $processes; do sleep 0.09; kill -CONT $processes; sleep 0.01; done');
  }

  #onProcesses({ metadata, spec }: RunningPod, script: string): Promise<string> {
    // The brackets keep this shell from finding itself.
    const pattern = `${metadata.name.slice(0, -1)}[${metadata.name.at(-1)}]`;
    const find = `processes=$(for file in $(grep -l '${pattern}' /proc/[0-9]*/cmdline); do basename $(dirname $file); done)`;
    return this.cluster.exec(Number(spec.nodeName.replace('node-', '')), 'sh', '-c', `${find}; ${script}`);
  }

  async condition(job: string, type: string): Promise<Condition | undefined> {
    const { status } = await this.get('trainingjob', job);
    return status?.conditions?.find((condition: Condition) => condition.type === type);
  }

  /** Waits for something of a job's status; fails with all that is known of the job. */
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever it likes
  async until(job: string, what: string, holds: (status: any) => boolean | Promise<boolean>, seconds = 300): Promise<any> {
    const deadline = Date.now() + seconds * 1000;
    while (true) {
      const { status = {} } = await this.get('trainingjob', job);
      if (await holds(status)) return status;
      const over = ['Succeeded', 'Failed'].includes(status.phase)
        ? 'and the job is over'
        : Date.now() > deadline
          ? `within ${seconds} s`
          : undefined;
      if (over) throw new Error(`${job}: ${what} was not seen ${over}: ${await this.describe(job)}`);
      await new Promise(resolve => setTimeout(resolve, 300));
    }
  }

  /** For whoever reads why a test failed. */
  async describe(job: string): Promise<string> {
    const parts = await Promise.allSettled([
      this.kubectl('describe', 'trainingjob', job),
      this.kubectl('get', 'pods', '--output', 'wide'),
      this.kubectl('logs', '--selector', `segfleet.dev/job=${job}`, '--tail=15', '--prefix', '--ignore-errors'),
      this.cluster.kubectl(['logs', '--namespace', 'segfleet', '--selector', 'app.kubernetes.io/component=operator', '--tail=30']),
    ]);
    return parts.map(part => (part.status === 'fulfilled' ? part.value : String(part.reason))).join('\n');
  }
}
