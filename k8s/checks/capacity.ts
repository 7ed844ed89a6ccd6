/**
 * What is left for pods: of the quota of the namespace, and of nodes with GPUs.
 */
import type { Api } from '../api.ts';
import type { KubeObject } from '../objects.ts';
import type { Finding } from './finding.ts';

interface ResourceQuota extends KubeObject {
  readonly spec?: {
    readonly hard?: Readonly<Record<string, string>>;
    readonly scopes?: readonly string[];
    readonly scopeSelector?: object;
  };
  readonly status?: { readonly hard?: Readonly<Record<string, string>>; readonly used?: Readonly<Record<string, string>> };
}

const gpu = 'nvidia.com/gpu';

/** What pods of a job use, by the names that quotas have for it. */
const limited = {
  pods: ['pods', 'count/pods'],
  cpu: ['requests.cpu', 'cpu', 'limits.cpu'],
  memory: ['requests.memory', 'memory', 'limits.memory'],
  GPUs: [`requests.${gpu}`],
} as const;

export async function checkQuota(api: Api, namespace: string): Promise<Finding[]> {
  const { items } = await api.list<ResourceQuota>('ResourceQuota', { namespace });
  const name = 'quota';
  // Of pods of some classes only: which those are is beyond this check.
  const quotas = items.filter(({ spec }) => !spec?.scopes?.length && !spec?.scopeSelector);
  const rows = quotas.flatMap(({ metadata, status }) =>
    Object.entries(limited).flatMap(([what, keys]) =>
      keys.flatMap(key => {
        const hard = status?.hard?.[key];
        if (hard === undefined) return [];
        const used = status?.used?.[key] ?? '0';
        return [{ quota: metadata.name, what, key, hard, used, isSpent: amountOf(used) >= amountOf(hard) }];
      }),
    ),
  );
  if (rows.length === 0) return [{ name, state: 'ok', found: `${namespace} has no quota` }];
  const found = rows.map(({ key, used, hard }) => `${key} ${used} of ${hard} used`).join(', ');
  const spent = rows.filter(({ isSpent }) => isSpent);
  // Jobs run without GPUs too.
  const state = spent.some(({ what }) => what !== 'GPUs') ? 'missing' : 'warning';
  const nothingLeft = `nothing is left of ${spent.map(({ key, quota }) => `${key} (${quota})`).join(', ')}: ${found}`;
  const finding: Finding =
    spent.length === 0 ? { name, state: 'ok', found } : { name, state, found: nothingLeft, fix: 'end other pods, or ask for more quota' };
  // With such a quota the API server refuses pods that do not say what they use.
  const mustSay = rows.filter(({ what }) => what === 'cpu' || what === 'memory').map(({ key }) => key);
  if (mustSay.length === 0) return [finding];
  const advice = `pods must say their ${mustSay.join(', ')}`;
  return [
    finding,
    {
      name: 'resources of pods',
      state: 'warning',
      found: advice,
      fix: 'give them in pod.resources and pod.coordinator.resources of each job',
    },
  ];
}

/** 500m, 2, 1.5Gi, 1e3. */
export function amountOf(quantity: string): number {
  const [, number = 'NaN', unit = ''] = /^([+-]?[\d.]+(?:[eE][+-]?\d+)?)([a-zA-Z]*)$/.exec(quantity) ?? [];
  const powers = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
  const factor =
    unit === 'm' ? 1e-3 : unit.endsWith('i') ? 1024 ** powers.indexOf(unit.slice(0, -1).replace('K', 'k')) : 1000 ** powers.indexOf(unit);
  return Number(number) * factor;
}

interface Node extends KubeObject {
  readonly spec: { readonly unschedulable?: boolean };
  readonly status?: {
    readonly allocatable?: Readonly<Record<string, string>>;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

export async function checkNodes(api: Api): Promise<Finding> {
  const name = 'nodes';
  const { items } = await api.list<Node>('Node');
  const isReady = ({ spec, status }: Node) =>
    !spec.unschedulable && status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
  const ready = items.filter(isReady);
  if (ready.length === 0)
    return { name, state: 'missing', found: `none of ${items.length} nodes is ready and takes pods`, fix: 'kubectl get nodes' };
  const sum = (resource: string) => ready.reduce((sum, { status }) => sum + amountOf(status?.allocatable?.[resource] ?? '0'), 0);
  const found = `${ready.length} of ${items.length} nodes take pods, with ${sum('cpu')} processors`;
  const gpus = sum(gpu);
  const hosts = ready.filter(({ status }) => amountOf(status?.allocatable?.[gpu] ?? '0') > 0).length;
  if (gpus > 0) return { name, state: 'ok', found: `${found} and ${gpus} GPUs on ${hosts} of them` };
  return {
    name,
    state: 'warning',
    found: `${found} and no GPUs`,
    fix: "for jobs with pod.gpus: NVIDIA's device plugin on nodes with GPUs",
  };
}
