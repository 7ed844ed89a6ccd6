/**
 * Whether an operator runs that looks after the namespace: its Deployment says how it was started, its Lease that it lives.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Api } from '../api.ts';
import { defaultLease, labels } from '../names.ts';
import type { KubeObject } from '../objects.ts';
import { type Finding, install, listEverywhere } from './finding.ts';

interface Deployment extends KubeObject {
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly { readonly args?: readonly string[] }[] } } };
  readonly status?: { readonly availableReplicas?: number };
}

interface Lease extends KubeObject {
  readonly spec?: { readonly holderIdentity?: string; readonly leaseDurationSeconds?: number; readonly renewTime?: string };
}

export interface Operator {
  /** Namespace and name of its Deployment. */
  readonly name: string;
  /** Empty: all. */
  readonly namespaces: readonly string[];
  /** Namespace and name. */
  readonly lease?: string;
  readonly store?: string;
  readonly storeSecret?: string;
  readonly libraryClaim?: string;
}

const likelyNamespaces = (namespace: string) => [namespace, 'segfleet', 'segfleet-system'];

/** Those that the user may see. */
export async function findOperators(api: Api, namespace: string): Promise<Operator[]> {
  const selection = { labelSelector: `${labels.app}=segfleet` };
  const deployments = await listEverywhere<Deployment>(api, 'Deployment', likelyNamespaces(namespace), selection);
  return deployments.flatMap(({ metadata, spec }) => {
    const args = spec.template.spec.containers[0]?.args ?? [];
    return args[0] === 'operator' ? [{ name: `${metadata.namespace}/${metadata.name}`, ...settingsIn(args) }] : [];
  });
}

/** The flags of `segfleet operator` that matter to a user. */
export function settingsIn(args: readonly string[]): Omit<Operator, 'name'> {
  const valuesOf = (flag: string) =>
    args.flatMap((word, i) =>
      word === flag ? args.slice(i + 1, i + 2) : word.startsWith(`${flag}=`) ? [word.slice(flag.length + 1)] : [],
    );
  const one = (flag: string) => valuesOf(flag).at(-1);
  return {
    namespaces: valuesOf('--namespace'),
    lease: one('--lease'),
    store: one('--store'),
    storeSecret: one('--store-secret'),
    libraryClaim: one('--library-claim'),
  };
}

export const looksAfter = ({ namespaces }: Operator, namespace: string): boolean =>
  namespaces.length === 0 || namespaces.includes(namespace);

export async function checkOperator(api: Api, operators: readonly Operator[], namespace: string): Promise<Finding> {
  const name = 'operator';
  const operator = operators.find(one => looksAfter(one, namespace));
  if (operators.length > 0 && !operator) {
    const found = `${operators.map(({ name }) => name).join(', ')} looks after ${operators.flatMap(one => one.namespaces).join(', ')} only`;
    return { name, state: 'missing', found, fix: `add ${namespace} to the namespaces of the chart (helm upgrade)` };
  }
  const [itsNamespace, leaseName] = operator?.lease?.split('/') ?? [undefined, defaultLease];
  const likely = itsNamespace ? [itsNamespace] : likelyNamespaces(namespace);
  const leases = await listEverywhere<Lease>(api, 'Lease', likely, { fieldSelector: `metadata.name=${leaseName}` });
  const lease = leases.find(({ metadata }) => itsNamespace === undefined || metadata.namespace === itsNamespace);
  if (!lease) {
    if (operator) return { name, state: 'missing', found: `${operator.name} is installed and has never run`, fix: logsOf(operator) };
    const all = await api.list('Lease').then(
      () => true,
      () => false,
    );
    if (all) return { name, state: 'missing', found: 'there is none', fix: install };
    return {
      name,
      state: 'warning',
      found: 'there is none where you may look',
      fix: 'ask whoever runs the cluster whether segfleet is installed',
    };
  }
  const who = `${lease.spec?.holderIdentity || 'nobody'} in ${lease.metadata.namespace}`;
  if (lease.spec?.holderIdentity && (await isHeld(api, lease))) return { name, state: 'ok', found: `runs: ${who} leads` };
  const fix = operator ? logsOf(operator) : `kubectl get pods --namespace ${lease.metadata.namespace}`;
  return { name, state: 'missing', found: `does not run: its lease was last renewed at ${lease.spec?.renewTime ?? 'no time'}`, fix };
}

const logsOf = ({ name }: Operator) => {
  const [namespace, deployment] = name.split('/');
  return `kubectl describe deployment ${deployment} --namespace ${namespace}`;
};

/** By our clock; where that says no, by what happens: the clock of the operator may be another. */
async function isHeld(api: Api, lease: Lease): Promise<boolean> {
  const { renewTime = '', leaseDurationSeconds = 15 } = lease.spec ?? {};
  const ageMs = Date.now() - Date.parse(renewTime);
  if (Math.abs(ageMs) < leaseDurationSeconds * 1000) return true;
  await wait(leaseDurationSeconds * 1000);
  const now = await api.get<Lease>('Lease', lease.metadata.name, lease.metadata);
  return now.spec?.renewTime !== renewTime && Boolean(now.spec?.holderIdentity);
}
