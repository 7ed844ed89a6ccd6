/**
 * What pods mount: the TensorFlow library and the credentials of the store.
 */
import type { Api } from '../api.ts';
import type { KubeObject } from '../objects.ts';
import { type Finding, ifThere } from './finding.ts';
import type { Operator } from './operator.ts';

interface Claim extends KubeObject {
  readonly status?: { readonly phase?: string; readonly accessModes?: readonly string[] };
}

/** @param claim undefined: the operator names none, or cannot be seen */
export async function checkLibrary(
  api: Api,
  namespace: string,
  operator: Operator | undefined,
  claim: string | undefined,
): Promise<Finding> {
  const name = 'TensorFlow library';
  if (claim === undefined)
    return { name, state: 'ok', found: operator ? 'in the image' : 'in the image, unless the operator names a claim' };
  const found = await ifThere(api.get<Claim>('PersistentVolumeClaim', claim, { namespace }));
  if (!found) {
    const fix = `make a PersistentVolumeClaim ${claim} there with the library (\`setup\` fetches it), or leave libraryClaim of the chart out`;
    return { name, state: 'missing', found: `there is no PersistentVolumeClaim ${claim} in ${namespace}`, fix };
  }
  const { phase = 'Pending', accessModes = [] } = found.status ?? {};
  // A claim may be bound with the first pod that uses it.
  if (phase !== 'Bound')
    return { name, state: 'warning', found: `${claim} is ${phase}`, fix: `kubectl describe pvc ${claim} --namespace ${namespace}` };
  return { name, state: 'ok', found: `${claim} is bound (${accessModes.join(', ')})` };
}

/** @param secret undefined: no one names any */
export async function checkStore(
  api: Api,
  namespace: string,
  operator: Operator | undefined,
  secret: string | undefined,
): Promise<Finding[]> {
  const finding = (state: Finding['state'], found: string, fix?: string): Finding => ({ name: 'store', state, found, ...(fix && { fix }) });
  const place = operator?.store
    ? finding('ok', `checkpoints lie below ${operator.store} where a job says nothing else`)
    : finding('warning', 'the operator has no store', 'give checkpoint.url in each job, or store.url to the chart');
  const ofSecret = secret === undefined ? unnamed(operator) : await secretIn(secret);
  return [...(operator ? [place] : []), ofSecret];

  function unnamed(operator: Operator | undefined): Finding {
    const found = operator ? 'the operator names no Secret for it' : 'no operator that you may see names a Secret for it';
    return finding('warning', found, 'name one in pod.storeSecret of each job, where the store asks for credentials');
  }

  /** Only the names of what is in it are looked at. */
  async function secretIn(secret: string): Promise<Finding> {
    const there = await ifThere(api.get<KubeObject & { readonly data?: object }>('Secret', secret, { namespace }));
    const fix = `kubectl create secret generic ${secret} --namespace ${namespace} --from-file=credentials --from-file=config (the files of ~/.aws)`;
    if (!there) return finding('missing', `there is no Secret ${secret} in ${namespace}`, fix);
    const files = Object.keys(there.data ?? {});
    if (!files.includes('credentials')) return finding('missing', `the Secret ${secret} has no file credentials`, fix);
    return finding('ok', `the Secret ${secret} has ${files.sort().join(' and ')}`);
  }
}
