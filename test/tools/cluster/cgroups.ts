/**
 * The control groups below which a node keeps those of its pods, so that all of them can be found and removed. Of the first version of
 * cgroups there is a tree for each controller, of the second only one.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const mounts = readFileSync('/proc/self/mounts', 'utf8')
  .split('\n')
  .map(line => line.split(' '))
  .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
  .map(([, path, type]) => ({ path: path!, type: type! }));

const trees = [...new Set(mounts.map(({ path }) => path))];
const first = mounts.filter(({ type }) => type === 'cgroup').map(({ path }) => path);

/** Where the control group of that name is, or will be. */
export const foldersOf = (name: string): string[] => trees.map(tree => join(tree, name));

export function makeControlGroup(name: string): void {
  if (first.length > 0) for (const tree of first) makeInFirst(tree, name);
  else for (const tree of trees) makeInSecond(tree, name);
}

function makeInFirst(tree: string, name: string): void {
  mkdirSync(join(tree, name), { recursive: true });
  // Nothing runs in a group whose processors are not named.
  for (const file of ['cpuset.cpus', 'cpuset.mems'].filter(file => existsSync(join(tree, file))))
    writeFileSync(join(tree, name, file), readFileSync(join(tree, file)));
}

/**
 * Written for machines that have only the second version; the machine that this was developed on has the first. Where the tree is that of
 * a container and not of the whole machine, the kernel refuses to hand out controllers while there are processes at its top.
 */
function makeInSecond(tree: string, name: string): void {
  const wanted = ['cpuset', 'cpu', 'io', 'memory', 'pids', 'hugetlb'];
  const there = readFileSync(join(tree, 'cgroup.controllers'), 'utf8').trim().split(' ');
  const handOut = wanted
    .filter(controller => there.includes(controller))
    .map(controller => `+${controller}`)
    .join(' ');
  writeFileSync(join(tree, 'cgroup.subtree_control'), handOut);
  mkdirSync(join(tree, name), { recursive: true });
  writeFileSync(join(tree, name, 'cgroup.subtree_control'), handOut);
}
