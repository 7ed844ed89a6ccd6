/**
 * The namespace, and the security standard that it holds pods to.
 */
import type { Api } from '../api.ts';
import type { KubeObject } from '../objects.ts';
import { type Finding, ifThere } from './finding.ts';

export async function checkNamespace(api: Api, name: string): Promise<Finding[]> {
  const found = await ifThere(api.get<KubeObject>('Namespace', name));
  if (!found) {
    return [{ name: 'namespace', state: 'missing', found: `there is no namespace ${name}`, fix: `kubectl create namespace ${name}` }];
  }
  const level = found.metadata.labels?.['pod-security.kubernetes.io/enforce'];
  return [
    { name: 'namespace', state: 'ok', found: name },
    level === undefined
      ? {
          name: 'pod security',
          state: 'warning',
          found: `${name} holds pods to no standard; those of segfleet meet restricted`,
          fix: `kubectl label namespace ${name} pod-security.kubernetes.io/enforce=restricted`,
        }
      : { name: 'pod security', state: 'ok', found: `${name} enforces ${level}; the pods of segfleet meet restricted` },
  ];
}
