/**
 * What the user may do in the namespace, of what the commands do.
 */
import type { Api } from '../api.ts';
import { group } from '../names.ts';
import type { KubeObject } from '../objects.ts';
import type { Finding } from './finding.ts';

interface Need {
  readonly purpose: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly verbs: readonly string[];
}

const needs: readonly Need[] = [
  { purpose: 'list and follow jobs', group, resource: 'trainingjobs', verbs: ['get', 'list', 'watch'] },
  { purpose: 'submit jobs', group, resource: 'trainingjobs', verbs: ['create'] },
  { purpose: 'suspend and resume jobs', group, resource: 'trainingjobs', verbs: ['patch'] },
  { purpose: 'cancel jobs', group, resource: 'trainingjobs', verbs: ['delete'] },
  { purpose: 'scale jobs', group, resource: 'trainingjobs', subresource: 'scale', verbs: ['patch'] },
  { purpose: 'see pods', group: '', resource: 'pods', verbs: ['get', 'list', 'watch'] },
  { purpose: 'read logs', group: '', resource: 'pods', subresource: 'log', verbs: ['get'] },
  { purpose: 'see events', group: '', resource: 'events', verbs: ['list', 'watch'] },
];

export async function checkPermissions(api: Api, namespace: string): Promise<Finding[]> {
  const denials = await Promise.all(
    needs.map(async need => {
      const allowed = await Promise.all(need.verbs.map(verb => may(api, namespace, need, verb)));
      return { need, denied: need.verbs.filter((_, i) => !allowed[i]) };
    }),
  );
  const missing = denials.filter(({ denied }) => denied.length > 0);
  if (missing.length === 0) return [{ name: 'permissions', state: 'ok', found: `you may do all that the commands do in ${namespace}` }];
  return missing.map(({ need: { purpose, group, resource, subresource }, denied }) => {
    const what = [resource, ...(group ? [group] : [])].join('.') + (subresource ? `/${subresource}` : '');
    const fix = `ask whoever runs the cluster for the role edit: kubectl create rolebinding NAME --namespace ${namespace} --clusterrole edit --user YOU`;
    const found = `you may not ${purpose} in ${namespace}: ${denied.join(', ')} ${what}`;
    return { name: 'permissions', state: 'missing', found, fix };
  });
}

interface AccessReview extends KubeObject {
  readonly spec: object;
  readonly status?: { readonly allowed: boolean };
}

async function may(api: Api, namespace: string, { group, resource, subresource }: Need, verb: string): Promise<boolean> {
  const { status } = await api.create<AccessReview>({
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    metadata: { name: '' },
    spec: { resourceAttributes: { namespace, group, resource, subresource, verb } },
  });
  return status?.allowed === true;
}
