/**
 * The control plane of a real Kubernetes for a test: etcd, API server, controller manager and scheduler on loopback, in a folder of their
 * own, gone with the test. There are no nodes, so pods are made and wait. Users are whoever a certificate says that they are.
 */
import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { CertificateAuthority } from './certificates.ts';
import { Daemon } from './daemon.ts';
import { type TemporaryFolder, temporaryFolder } from './temporaryFolder.ts';
import { kubernetes } from './tools.ts';

export interface ControlPlaneOptions {
  /** Its files lie here, and go with it; by default a new folder for temporary files. */
  readonly folder?: string;
  /** The address that the API server listens on, and the one that it is reached at. */
  readonly bind?: string;
  readonly advertise?: string;
  readonly port?: number;
  /** What goes in front of all of its programs: `nsenter` for those in the network namespace of a node. See `DaemonOptions`. */
  readonly under?: readonly string[];
  readonly scheduler?: boolean;
  /** Added to the API server's own; of a flag that is there twice the last counts. */
  readonly apiServerArgs?: readonly string[];
  /** How long pods stay on a node that is gone. */
  readonly tolerateSeconds?: number;
}

export interface KubectlOptions {
  /** Whose; by default that of the administrator. */
  readonly kubeconfig?: string;
  readonly input?: string;
}

export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Component = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler';

export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const controlPlane = new ControlPlane(options, options.port ?? (await freePort()));
  try {
    await controlPlane.start();
  } catch (error) {
    await controlPlane[Symbol.asyncDispose]().catch(() => {});
    throw error;
  }
  return controlPlane;
}

export class ControlPlane implements AsyncDisposable {
  readonly url: string;
  /** Of an administrator, who may do all. */
  readonly kubeconfig: string;
  readonly #folder: TemporaryFolder;
  readonly #options: ControlPlaneOptions;
  readonly #port: number;
  readonly #authority: CertificateAuthority;
  readonly #daemons = new Map<Component, Daemon>();
  #kubeconfigs = 0;

  constructor(options: ControlPlaneOptions, port: number) {
    const { folder, advertise = '127.0.0.1' } = options;
    this.#options = options;
    this.#port = port;
    this.url = `https://${advertise}:${port}`;
    this.#folder = temporaryFolder('kubernetes', folder);
    this.#authority = new CertificateAuthority(this.#path('certificates'));
    this.kubeconfig = this.kubeconfigOf('admin', ['system:masters']);
  }

  get folder(): string {
    return this.#folder.path;
  }

  /** Of what runs. */
  get pids(): Readonly<Partial<Record<Component, number>>> {
    const running = [...this.#daemons].filter(([, daemon]) => daemon.isRunning);
    return Object.fromEntries(running.map(([component, { pid }]) => [component, pid]));
  }

  /** @returns the path of a kubeconfig; what the user may do is what RBAC says of the name and the groups */
  kubeconfigOf(user: string, groups: readonly string[] = [], url = this.url): string {
    const { certificate, key } = this.#authority.forUser(user, groups);
    return this.#writeKubeconfig({ 'client-certificate-data': base64(certificate), 'client-key-data': base64(key) }, url);
  }

  nodeKubeconfig(node: string): string {
    return this.kubeconfigOf(`system:node:${node}`, ['system:nodes']);
  }

  /** With a token of that account, as pods have it. */
  async serviceAccountKubeconfig(namespace: string, name: string, url = this.url): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl('create', 'token', name, '--namespace', namespace);
    if (code !== 0) throw new Error(`no token for the ServiceAccount ${namespace}/${name}: ${stderr}`);
    return this.#writeKubeconfig({ token: stdout.trim() }, url);
  }

  /** As the administrator. */
  kubectl(...words: readonly string[]): Promise<Said> {
    return this.kubectlWith({}, ...words);
  }

  async kubectlWith({ kubeconfig = this.kubeconfig, input = '' }: KubectlOptions, ...words: readonly string[]): Promise<Said> {
    const [program, ...rest] = [...(this.#options.under ?? []), kubernetes('kubectl'), '--kubeconfig', kubeconfig, ...words];
    // It keeps what it knows of the server in the home folder.
    const child = spawn(program, rest, { env: { ...process.env, HOME: this.folder }, stdio: 'pipe' });
    const code = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
    // It may end without having read all of it.
    child.stdin.on('error', () => {}).end(input);
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await code, stdout, stderr };
  }

  async start(): Promise<void> {
    const { scheduler = true } = this.#options;
    this.#launch('etcd', {
      name: 'etcd',
      'data-dir': 'etcd',
      'unsafe-no-fsync': 'true',
      'listen-client-urls': 'unix://clients:1',
      'advertise-client-urls': 'unix://clients:1',
      'listen-peer-urls': 'unix://peers:1',
      'initial-advertise-peer-urls': 'unix://peers:1',
      'initial-cluster': 'etcd=unix://peers:1',
      // It stands for election alone, and waits so long before it does.
      'heartbeat-interval': '20',
      'election-timeout': '100',
      'log-level': 'warn',
    });
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(this.#path('serviceAccounts.key'), privateKey.export({ type: 'sec1', format: 'pem' }), { mode: 0o600 });
    await this.startApiServer();
    this.#launch('kube-controller-manager', {
      kubeconfig: this.kubeconfig,
      'secure-port': '0',
      'leader-elect': 'false',
      'use-service-account-credentials': 'false',
      'service-account-private-key-file': 'serviceAccounts.key',
      'root-ca-file': this.#authority.certificate,
      controllers: '*,-node-ipam-controller,-service-lb-controller,-node-route-controller,-cloud-node-lifecycle-controller',
      // It makes the folder, which would be one of this machine's.
      'flex-volume-plugin-dir': this.#path('volume-plugins'),
      'node-monitor-period': '1s',
      'node-monitor-grace-period': '10s',
    });
    const kubeconfig = this.kubeconfigOf('system:kube-scheduler');
    if (scheduler) this.#launch('kube-scheduler', { kubeconfig, 'secure-port': '0', 'leader-elect': 'false' });
    // Nothing can be made in a namespace before.
    await this.#answers('/api/v1/namespaces/default/serviceaccounts/default');
  }

  /** On the same port, with what it had stored. */
  async startApiServer(): Promise<void> {
    const { bind = '127.0.0.1', advertise = '127.0.0.1', tolerateSeconds = 300, apiServerArgs = [] } = this.#options;
    const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local', 'localhost'];
    const { certificate, key } = this.#authority.forServer([...names, '127.0.0.1', advertise, '10.96.0.1']);
    const issuer = 'https://kubernetes.default.svc';
    const flags = {
      'etcd-servers': 'unix://clients:1',
      'bind-address': bind,
      'advertise-address': advertise,
      'secure-port': String(this.#port),
      'tls-cert-file': certificate,
      'tls-private-key-file': key,
      'client-ca-file': this.#authority.certificate,
      'service-cluster-ip-range': '10.96.0.0/16',
      'authorization-mode': 'Node,RBAC',
      'enable-admission-plugins': 'NodeRestriction',
      'allow-privileged': 'true',
      // Else it waits for those who watch, and they stay.
      'shutdown-watch-termination-grace-period': '1s',
      'service-account-issuer': issuer,
      'api-audiences': issuer,
      'service-account-key-file': 'serviceAccounts.key',
      'service-account-signing-key-file': 'serviceAccounts.key',
      'default-not-ready-toleration-seconds': String(tolerateSeconds),
      'default-unreachable-toleration-seconds': String(tolerateSeconds),
      'kubelet-preferred-address-types': 'InternalIP',
    };
    this.#launch('kube-apiserver', flags, apiServerArgs);
    await this.#answers('/readyz');
  }

  async stopApiServer(): Promise<void> {
    await this.#daemons.get('kube-apiserver')!.end('SIGTERM');
  }

  async killApiServer(): Promise<void> {
    await this.#daemons.get('kube-apiserver')!.end('SIGKILL');
  }

  /** It keeps its connections, and says nothing. */
  pauseApiServer(): void {
    this.#daemons.get('kube-apiserver')!.signal('SIGSTOP');
  }

  resumeApiServer(): void {
    this.#daemons.get('kube-apiserver')!.signal('SIGCONT');
  }

  /** Kills all of it: nobody needs what it holds any more, and an API server that is asked to end waits for an etcd that ends too. */
  async [Symbol.asyncDispose](): Promise<void> {
    const broken = [...this.#daemons.values()].filter(({ hasFailed }) => hasFailed).map(daemon => daemon.report());
    await Promise.all([...this.#daemons.values()].map(daemon => daemon.end('SIGKILL')));
    await this.#folder[Symbol.asyncDispose]();
    if (broken.length > 0) throw new Error(`a part of the control plane ended by itself: ${broken.join('\n')}`);
  }

  #launch(component: Component, flags: Readonly<Record<string, string>>, more: readonly string[] = []): void {
    if (this.#daemons.get(component)?.isRunning) throw new Error(`${component} runs already`);
    const words = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const options = { log: this.#path(`${component}.log`), cwd: this.folder, under: this.#options.under };
    this.#daemons.set(component, new Daemon([kubernetes(component), ...words, ...more], options));
  }

  /** Waits until the API server says that all is well at that path, or something has ended. */
  async #answers(path: string): Promise<void> {
    const command = [process.execPath, join(import.meta.dirname, 'askApi.ts'), this.kubeconfig, path];
    const asker = new Daemon(command, { log: this.#path('askApi.log'), under: this.#options.under });
    const daemons = [...this.#daemons.values()];
    const anEnd = Promise.race(daemons.map(({ ended }) => ended));
    const isWell = await Promise.race([asker.ended.then(how => how === 'code 0'), anEnd.then(() => false)]);
    await asker.end('SIGKILL');
    if (!isWell) throw new Error(`the control plane did not start: ${[asker, ...daemons].map(daemon => daemon.report()).join('\n')}`);
  }

  #writeKubeconfig(credentials: Readonly<Record<string, string>>, server: string): string {
    const path = this.#path(`${++this.#kubeconfigs}.kubeconfig`);
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': base64(this.#authority.certificate) } }],
      users: [{ name: 'test', user: credentials }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      'current-context': 'test',
    };
    writeFileSync(path, JSON.stringify(kubeconfig), { mode: 0o600 });
    return path;
  }

  #path(name: string): string {
    return join(this.folder, name);
  }
}

const base64 = (path: string): string => readFileSync(path).toString('base64');

/** Not one of those that the kernel gives to outgoing connections: it stays free while the API server is down. */
async function freePort(): Promise<number> {
  while (true) {
    const port = randomInt(20_000, 32_000);
    const server = createServer();
    const isFree = await new Promise<boolean>(resolve => {
      server.on('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise(resolve => server.close(resolve));
    return port;
  }
}
