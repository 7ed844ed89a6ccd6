/**
 * What runs containers on a node: containerd, with a network for the pods of that node that others reach through the node's address.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Daemon } from '../daemon.ts';
import { until } from '../programs.ts';
import type { Machine } from './machine.ts';

/** Where the plugins are that make networks: the place of the distribution, or everyone else's. */
export const networkPlugins = ['/usr/lib/cni', '/opt/cni/bin'].find(existsSync);

export interface ContainersOptions {
  /** The addresses of its pods. */
  readonly subnet: string;
  /** The name of an image that does nothing: its container holds the namespaces of a pod. */
  readonly pause: string;
}

export async function startContainers(machine: Machine, { subnet, pause }: ContainersOptions): Promise<Daemon> {
  const path = (name: string) => join(machine.folder, name);
  mkdirSync(path('network'), { recursive: true });
  const routes = [{ dst: '0.0.0.0/0' }];
  const addresses = { type: 'host-local', dataDir: path('addresses'), ranges: [[{ subnet }]], routes };
  const bridge = { type: 'bridge', bridge: 'pods', isGateway: true, ipMasq: false, hairpinMode: true, ipam: addresses };
  writeFileSync(path('network/pods.conflist'), JSON.stringify({ cniVersion: '1.0.0', name: 'pods', plugins: [bridge] }));
  writeFileSync(path('containerd.toml'), settings(path('containerd'), path('network'), pause));
  const containerd = machine.start('containerd', 'containerd', '--config', path('containerd.toml'));
  await until('containerd', async () => Boolean(await machine.run(['ctr', 'version'])), [containerd]);
  return containerd;
}

export async function importImage(machine: Machine, tar: string): Promise<void> {
  await machine.run(['ctr', '--namespace', 'k8s.io', 'images', 'import', tar]);
}

/** Without CAP_SYS_RESOURCE nobody may be made less likely to be killed for lack of memory, so nothing here asks for that. */
const settings = (root: string, network: string, pause: string): string => `
version = 2
root = "${root}"
oom_score = 0
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${networkPlugins}"
    conf_dir = "${network}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = false
`;
