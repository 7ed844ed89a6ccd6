/**
 * The kinds of segfleet: installed, established, and those of this version.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Api } from '../api.ts';
import { isStatus } from '../apiError.ts';
import { sweep } from '../crd/sweep.ts';
import { trainingJob } from '../crd/trainingJob.ts';
import { group, version } from '../names.ts';
import type { KubeObject } from '../objects.ts';
import { type Finding, ifThere, install, upgrade } from './finding.ts';

interface Definition extends KubeObject {
  readonly spec: { readonly versions: readonly { readonly name: string; readonly served: boolean; readonly schema?: unknown }[] };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[] };
}

export const checkKinds = (api: Api): Promise<Finding[]> =>
  Promise.all([trainingJob(), sweep()].map(definition => checkKind(api, definition as Definition)));

async function checkKind(api: Api, wanted: Definition): Promise<Finding> {
  const kind = wanted.metadata.name;
  const title = `${kind} ${version}`;
  const finding = (state: Finding['state'], found: string, fix?: string): Finding => ({ name: 'kinds', state, found, ...(fix && { fix }) });
  let found: Definition | undefined;
  try {
    found = await ifThere(api.get<Definition>('CustomResourceDefinition', kind));
  } catch (error) {
    if (!isStatus(error, 403)) throw error;
    // Everyone may see what is served, but not of which version its schema is.
    const served = await ifThere(api.raw<{ resources: readonly { name: string }[] }>(`/apis/${group}/${version}`));
    const isServed = served?.resources.some(({ name }) => `${name}.${group}` === kind);
    return isServed ? finding('ok', `${title} is served`) : finding('missing', `${title} is not served`, install);
  }
  if (!found) return finding('missing', `${kind} is not there`, install);
  const installed = found.spec.versions.find(({ name }) => name === version);
  if (!installed?.served) return finding('missing', `${kind} is served without ${version}`, upgrade);
  const established = found.status?.conditions?.find(({ type }) => type === 'Established');
  if (established?.status !== 'True') return finding('missing', `${kind} is not established yet`, 'try again in a moment');
  if (!isDeepStrictEqual(asStored(installed.schema), asStored(wanted.spec.versions[0].schema))) {
    return finding('warning', `${title} is of another version of segfleet than this command`, upgrade);
  }
  return finding('ok', `${title} is served, as this version of segfleet knows it`);
}

/** The API server leaves out lists that are empty. */
const asStored = (schema: unknown): unknown =>
  JSON.parse(JSON.stringify(schema, (_, value) => (Array.isArray(value) && value.length === 0 ? undefined : value)));
