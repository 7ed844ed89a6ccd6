/**
 * `segfleet cluster check`: whether a namespace of a cluster can train, for the user who asks. Each check says what it found, and how to mend what is
 * not in order.
 */
import type { Api } from './api.ts';
import { checkNodes, checkQuota } from './checks/capacity.ts';
import { type Finding, unseen } from './checks/finding.ts';
import { checkKinds } from './checks/kinds.ts';
import { checkNamespace } from './checks/namespace.ts';
import { checkOperator, findOperators, looksAfter } from './checks/operator.ts';
import { checkPermissions } from './checks/permissions.ts';
import { checkLibrary, checkStore } from './checks/storage.ts';

export interface CheckOptions {
  readonly namespace: string;
  /** What the operator was started with, for users who may not see that. */
  readonly libraryClaim?: string;
  readonly storeSecret?: string;
}

/** In the order in which things build on each other. @throws unavailable: nothing answers; notAllowed: not to these credentials */
export async function checkCluster(api: Api, { namespace, ...given }: CheckOptions): Promise<Finding[]> {
  const server = await api.raw<{ gitVersion: string }>('/version');
  const operators = await findOperators(api, namespace);
  const operator = operators.find(one => looksAfter(one, namespace));
  const checks: Record<string, Promise<Finding | readonly Finding[]>> = {
    namespace: checkNamespace(api, namespace),
    kinds: checkKinds(api),
    permissions: checkPermissions(api, namespace),
    operator: checkOperator(api, operators, namespace),
    quota: checkQuota(api, namespace),
    nodes: checkNodes(api),
    'TensorFlow library': checkLibrary(api, namespace, operator, given.libraryClaim ?? operator?.libraryClaim),
    store: checkStore(api, namespace, operator, given.storeSecret ?? operator?.storeSecret),
  };
  const findings = await Promise.all(Object.entries(checks).map(([name, check]) => check.catch(error => unseen(name, error))));
  return [{ name: 'API server', state: 'ok', found: `Kubernetes ${server.gitVersion} at ${api.server}` }, ...findings.flat()];
}
