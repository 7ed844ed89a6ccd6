/**
 * A real Kubernetes of one node or several for a test, on this machine and with no container engine: each node is a machine in namespaces
 * of its own, with kubelet, containerd and kube-proxy of its own; the first has the control plane and the name server too. Nothing leads
 * from their network to that of this machine or further, and all of it is gone with the test, however that ends.
 */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { startKubelet, startNameServer, startProxy } from './cluster/components.ts';
import { importImage, networkPlugins, startContainers } from './cluster/containers.ts';
import { Machine } from './cluster/machine.ts';
import { addressOf, layNetwork, plugIn, podsOf, pullOut } from './cluster/network.ts';
import { Relay } from './cluster/relay.ts';
import { busybox, smallImage, writeSmallImage } from './cluster/smallImage.ts';
import { type ControlPlane, startControlPlane } from './controlPlane.ts';
import type { Daemon } from './daemon.ts';
import { isThere, output, until } from './programs.ts';
import { temporaryFolder } from './temporaryFolder.ts';
import { hasKubernetes, kubernetes } from './tools.ts';

export interface ClusterOptions {
  readonly nodes?: number;
  /** Tar files of OCI layouts, which every node then has; each has {@link smallImage} too. There is no registry: `imagePullPolicy: Never`. */
  readonly images?: readonly string[];
  /** How long pods stay on a node that is gone. */
  readonly tolerateSeconds?: number;
  /** Its files lie here, and go with it; by default a new folder for temporary files. */
  readonly folder?: string;
}

const programs = ['unshare', 'nsenter', 'setpriv', 'ip', 'nft', 'containerd', 'ctr', 'runc', 'openssl', busybox];

/** Whether there can be one here; where SEGFLEET_REQUIRE_TOOLS says that there has to be, it fails and says why there cannot. */
export function canStartCluster(): boolean {
  const without = [
    ...(hasKubernetes() ? [] : ['Kubernetes (`npm run tools`)']),
    ...programs.filter(program => !isThere(program)),
    ...(networkPlugins ? [] : ['network plugins']),
    ...(mayPart() ? [] : ['the right to make namespaces and to mount in them (root has it)']),
  ];
  if (without.length > 0 && process.env.SEGFLEET_REQUIRE_TOOLS === '1')
    throw new Error(
      `no cluster can be started here, and SEGFLEET_REQUIRE_TOOLS=1 says that its tests have to run. It lacks ${without.join(', ')}. Debian has it in containerd, runc, containernetworking-plugins, iproute2, nftables, openssl and busybox-static.`,
    );
  return without.length === 0;
}

const mayPart = (): boolean =>
  spawnSync('unshare', ['--net', '--mount', '--pid', '--fork', 'mount', '-t', 'proc', 'proc', '/proc']).status === 0;

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(options);
  await cluster.start();
  return cluster;
}

const nameOf = (node: number): string => `node-${node}`;
const apiPort = 6443;

interface Node {
  readonly machine: Machine;
  readonly daemons: Daemon[];
}

/** Its nodes are numbered from 1 on, and called node-1, node-2 and so on. */
export class Cluster implements AsyncDisposable {
  /** Its control groups are called after it: no other cluster has it, not even one that was left behind. */
  readonly id = `segfleet-${randomBytes(6).toString('hex')}`;
  /** Of its first node: here pods reach what runs in the network of that one. */
  readonly address = addressOf(1);
  /** Where the API server is reached from this machine. */
  url = '';
  /** Of an administrator, from this machine. */
  kubeconfig = '';
  controlPlane!: ControlPlane;
  readonly #options: ClusterOptions;
  readonly #nodes = new Map<number, Node>();
  readonly #stack = new AsyncDisposableStack();
  #folder = '';
  #relay!: Relay;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Where it fails, nothing is left of it. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      // Why it did not start says more than what then was in the way.
      await this.#stack.disposeAsync().catch(() => {});
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { nodes = 1, folder } = this.#options;
    this.#folder = this.#stack.use(temporaryFolder('cluster', folder)).path;
    this.#stack.defer(() => this.#endNodes());
    await writeSmallImage(this.#smallImage);
    const first = await this.#boot(1);
    const controlPlane = this.#startControlPlane(first);
    // It is awaited below; until then an error of it is not one that nobody takes care of.
    controlPlane.catch(() => {});
    const begin = async (node: number) => {
      const machine = node === 1 ? first : await this.#boot(node);
      await this.#startContainers(node);
      for (const tar of [this.#smallImage, ...(this.#options.images ?? [])]) await importImage(machine, tar);
      await controlPlane;
      await this.#join(node);
    };
    await all([controlPlane, ...Array.from({ length: nodes }, (_, i) => begin(i + 1))]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stack.disposed) return;
    const broken = [...this.#nodes.values()]
      .flatMap(({ daemons }) => daemons.filter(({ hasFailed }) => hasFailed))
      .map(daemon => daemon.report());
    await this.#stack.disposeAsync();
    if (broken.length > 0) throw new Error(`a part of a node ended by itself: ${broken.join('\n')}`);
  }

  /** As the administrator. @returns what it says; where it fails, an error that says why */
  kubectl(words: readonly string[], { stdin }: { stdin?: string } = {}): Promise<string> {
    return output([kubernetes('kubectl'), '--kubeconfig', this.kubeconfig, '--cache-dir', join(this.#folder, 'kubectl'), ...words], {
      stdin,
    });
  }

  /** Runs a program on a node. */
  async exec(node: number, ...command: readonly string[]): Promise<string> {
    return this.#node(node).machine.run(command);
  }

  /** A program that has the network of a node, and is otherwise here. It ends with the cluster at the latest. */
  spawnInNetwork(node: number, program: string, words: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
    const [enter, ...rest] = [...this.#node(node).machine.inNetwork, 'setpriv', '--pdeathsig', 'KILL', '--', program, ...words];
    const child = spawn(enter!, rest, options);
    const ended = once(child, 'close').catch(() => {});
    this.#stack.defer(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    return child;
  }

  /** @returns a port on loopback of this machine that leads to one of that address in the cluster's network: of a node, a pod, a service */
  relay(port: number, address = this.address): Promise<number> {
    return this.#relay.to(address, port);
  }

  async importImage(node: number, tar: string): Promise<void> {
    await importImage(this.#node(node).machine, tar);
  }

  /** As when its power fails. */
  async stopNode(node: number): Promise<void> {
    if (node === 1) throw new Error('the first node has the control plane: it ends with the cluster');
    const { machine } = this.#node(node);
    await pullOut(machine, this.#node(1).machine);
    await machine.end();
    this.#nodes.delete(node);
  }

  /** Its disk is as it was, with its images; there are no containers. */
  async startNode(node: number): Promise<void> {
    await this.#boot(node);
    await this.#startContainers(node);
    await this.#join(node);
  }

  get #smallImage(): string {
    return join(this.#folder, 'busybox.tar');
  }

  #node(node: number): Node {
    const found = this.#nodes.get(node);
    if (!found) throw new Error(`${nameOf(node)} does not run`);
    return found;
  }

  async #boot(node: number): Promise<Machine> {
    const machine = await Machine.boot(nameOf(node), join(this.#folder, nameOf(node)), `${this.id}-${node}`);
    this.#nodes.set(node, { machine, daemons: [] });
    if (node === 1) await layNetwork(machine, this.#options.nodes ?? 1);
    else await plugIn(machine, node, this.#node(1).machine);
    return machine;
  }

  async #startContainers(node: number): Promise<void> {
    const { machine, daemons } = this.#node(node);
    daemons.push(await startContainers(machine, { subnet: podsOf(node), pause: smallImage }));
  }

  async #join(node: number): Promise<void> {
    const { machine, daemons } = this.#node(node);
    const kubeconfig = this.controlPlane.nodeKubeconfig(machine.name);
    const began = Date.now();
    daemons.push(startKubelet(machine, { kubeconfig, address: addressOf(node), dns: this.address }));
    daemons.push(startProxy(machine, this.controlPlane.kubeconfig));
    if (node === 1) {
      daemons.push(startNameServer(machine, this.controlPlane.kubeconfig, this.address));
      await until('the name server', () => machine.run([busybox, 'wget', '-qO-', 'http://127.0.0.1:8181/ready']).then(Boolean), daemons);
    }
    await until(machine.name, () => this.#isReady(machine.name, began), daemons);
  }

  /** @param since what it said before does not count */
  async #isReady(name: string, since: number): Promise<boolean> {
    const condition = '{range .status.conditions[?(@.type=="Ready")]}{.status} {.lastHeartbeatTime}{end}';
    const [status, time] = (await this.kubectl(['get', 'node', name, '--output', `jsonpath=${condition}`])).split(' ');
    // It says whole seconds.
    return status === 'True' && Date.parse(time!) > since - 1000;
  }

  async #startControlPlane(machine: Machine): Promise<void> {
    this.#relay = await Relay.into(machine, join(this.#folder, 'relay'));
    this.#stack.use(this.#relay);
    const port = await this.relay(apiPort);
    this.url = `https://127.0.0.1:${port}`;
    const { tolerateSeconds } = this.#options;
    const folder = join(this.#folder, 'control-plane');
    const where = { bind: '0.0.0.0', advertise: this.address, port: apiPort, under: machine.inNetwork };
    this.controlPlane = this.#stack.use(await startControlPlane({ folder, tolerateSeconds, ...where }));
    this.kubeconfig = this.controlPlane.kubeconfigOf('admin', ['system:masters'], this.url);
  }

  async #endNodes(): Promise<void> {
    await all([...this.#nodes.values()].map(({ machine }) => machine.end()));
  }
}

/** As `Promise.all`, but nothing goes on when it has failed. */
async function all(promises: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(promises);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
