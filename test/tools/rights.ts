/**
 * All that somebody may do on a cluster, by asking its API server about every verb of every resource that it has.
 */
import type { Api } from '../../k8s/api.ts';
import type { KubeObject } from '../../k8s/objects.ts';

export interface Resource {
  /** With its group, and with the subresource: `jobs.batch/status`. */
  readonly title: string;
  readonly group: string;
  readonly version: string;
  readonly name: string;
  readonly subresource?: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

interface Discovered {
  readonly resources: readonly { readonly name: string; readonly namespaced: boolean; readonly verbs: readonly string[] }[];
}

export async function resourcesOf(api: Api): Promise<Resource[]> {
  const { groups } = await api.raw<{ groups: { name: string; preferredVersion: { version: string } }[] }>('/apis');
  const versions = [{ group: '', version: 'v1' }, ...groups.map(({ name, preferredVersion: { version } }) => ({ group: name, version }))];
  const found = versions.map(async ({ group, version }) => {
    const { resources } = await api.raw<Discovered>(group ? `/apis/${group}/${version}` : `/api/${version}`);
    return resources.map(({ name: path, namespaced, verbs }): Resource => {
      const [name, subresource] = path.split('/');
      const title = `${name}${group && `.${group}`}${subresource ? `/${subresource}` : ''}`;
      return { title, group, version, name, subresource, namespaced, verbs };
    });
  });
  return (await Promise.all(found)).flat();
}

interface AccessReview extends KubeObject {
  readonly status?: { readonly allowed: boolean };
}

/** Whether it may; `object` is the name of one of them. */
export async function may(
  api: Api,
  verb: string,
  { group, name, subresource }: Pick<Resource, 'group' | 'name' | 'subresource'>,
  { namespace, object }: { namespace?: string; object?: string } = {},
): Promise<boolean> {
  const { status } = await api.create<AccessReview & { spec: object }>({
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    metadata: { name: '' },
    spec: { resourceAttributes: { namespace, group, resource: name, subresource, verb, name: object } },
  });
  return status!.allowed;
}

/** Each request that waits has a connection of its own. */
const atOnce = 8;

/** By resource, the verbs: in a namespace, or without one in all of them and on what belongs to none. What may not be done at all is not there. */
export async function rightsOf(api: Api, resources: readonly Resource[], namespace?: string): Promise<Record<string, string>> {
  const rights: Record<string, string> = {};
  const asked = resources.filter(({ namespaced }) => namespaced || namespace === undefined).values();
  const ask = async () => {
    for (const resource of asked) {
      const verbs: string[] = [];
      for (const verb of resource.verbs) if (await may(api, verb, resource, { namespace })) verbs.push(verb);
      if (verbs.length > 0) rights[resource.title] = verbs.sort().join(' ');
    }
  };
  await Promise.all(Array.from({ length: atOnce }, ask));
  return rights;
}
