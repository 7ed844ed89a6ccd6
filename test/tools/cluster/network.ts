/**
 * The network of a cluster: a bridge on the first node, to which the others are plugged, and behind each node the addresses of its pods.
 * Nothing leads out of it.
 */
import type { Machine } from './machine.ts';

export const addressOf = (node: number): string => `172.30.0.${node}`;
export const podsOf = (node: number): string => `10.244.${node - 1}.0/24`;
export const allPods = '10.244.0.0/16';

/** @param nodes how many there will be */
export async function layNetwork(first: Machine, nodes: number): Promise<void> {
  const others = Array.from({ length: nodes - 1 }, (_, i) => i + 2);
  await first.configureNetwork(
    'link set lo up',
    'link add nodes type bridge',
    `address add ${addressOf(1)}/24 dev nodes`,
    'link set nodes up',
    // Nobody has that address: there are programs that do not start where there is no such route.
    'route add default via 172.30.0.254',
    ...others.map(node => `route add ${podsOf(node)} via ${addressOf(node)}`),
  );
}

/** What is for the pods of another node goes through the first. */
export async function plugIn(machine: Machine, node: number, first: Machine): Promise<void> {
  const port = portOf(machine);
  await first.configureNetwork(`link add ${port} type veth peer name eth0 netns ${machine.pid}`, `link set ${port} master nodes up`);
  await machine.configureNetwork(
    'link set lo up',
    `address add ${addressOf(node)}/24 dev eth0`,
    'link set eth0 up',
    `route add default via ${addressOf(1)}`,
  );
}

/** The kernel does so by itself when the machine has ended, but not at once. */
export async function pullOut(machine: Machine, first: Machine): Promise<void> {
  await first.configureNetwork(`link delete ${portOf(machine)}`);
}

const portOf = (machine: Machine): string => `to-${machine.name}`;
