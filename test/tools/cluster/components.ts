/**
 * The programs of Kubernetes that run on a node: kubelet and kube-proxy on each, the name server on the first.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Daemon } from '../daemon.ts';
import { kubernetes } from '../tools.ts';
import type { Machine } from './machine.ts';
import { allPods } from './network.ts';

export interface KubeletOptions {
  readonly kubeconfig: string;
  readonly address: string;
  /** The address of the name server. */
  readonly dns: string;
}

export function startKubelet(machine: Machine, { kubeconfig, address, dns }: KubeletOptions): Daemon {
  // Where a pod looks first for names that are not whole; there is no name server but that of the cluster.
  writeFileSync(join(machine.folder, 'resolv.conf'), 'options ndots:5\n');
  const config = write(machine, 'kubelet', {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    // Nobody but the machines of this cluster reaches it.
    address: '0.0.0.0',
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    readOnlyPort: 0,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${machine.group}`,
    // It would not start where the machine has the first version of control groups only.
    failCgroupV1: false,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    oomScoreAdj: 0,
    clusterDNS: [dns],
    clusterDomain: 'cluster.local',
    resolvConf: join(machine.folder, 'resolv.conf'),
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    volumePluginDir: join(machine.folder, 'volume-plugins'),
    // The disk is that of the machine below, which may be nearly full.
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'nodefs.inodesFree': '1%', 'imagefs.available': '1%' },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    // So that it is soon seen that a node is gone.
    nodeStatusUpdateFrequency: '5s',
    nodeLeaseDurationSeconds: 8,
  });
  const folders = [`--root-dir=${join(machine.folder, 'kubelet')}`, `--cert-dir=${join(machine.folder, 'kubelet-certificates')}`];
  const who = [`--hostname-override=${machine.name}`, `--node-ip=${address}`, `--kubeconfig=${kubeconfig}`];
  return machine.start('kubelet', kubernetes('kubelet'), `--config=${config}`, ...folders, ...who);
}

/** Leads the addresses of services to pods. */
export function startProxy(machine: Machine, kubeconfig: string): Daemon {
  const config = write(machine, 'kube-proxy', {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    hostnameOverride: machine.name,
    clusterCIDR: allPods,
    clientConnection: { kubeconfig },
    // These limits are of the whole machine below: they stay as they are.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
  });
  return machine.start('kube-proxy', kubernetes('kube-proxy'), `--config=${config}`);
}

/** Knows the names of services and of their pods; says on port 8181 of its own machine when it does. */
export function startNameServer(machine: Machine, kubeconfig: string, address: string): Daemon {
  const path = join(machine.folder, 'Corefile');
  writeFileSync(
    path,
    `.:53 {
      bind ${address}
      errors
      health 127.0.0.1:8053
      ready 127.0.0.1:8181
      kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig ${kubeconfig}
        pods insecure
        ttl 1
      }
      cache 1
    }\n`,
  );
  return machine.start('coredns', kubernetes('coredns'), '-conf', path);
}

function write(machine: Machine, name: string, config: object): string {
  const path = join(machine.folder, `${name}.json`);
  writeFileSync(path, JSON.stringify(config));
  return path;
}
