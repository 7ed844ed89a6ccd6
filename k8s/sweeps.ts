/**
 * What a user does with sweeps on a cluster.
 */
import type { LoadedSweep } from '../trainer/sweep/sweepFile.ts';
import type { Api } from './api.ts';
import { anySettings, createNew } from './jobs.ts';
import { apiVersion } from './names.ts';
import type { Sweep } from './objects.ts';
import { checkTrials, searchOf } from './sweep/search.ts';

/**
 * Its job goes with it, without the defaults that are the cluster's to fill in.
 *
 * @throws usage: no cluster can run it; conflict: there is one of that name
 */
export async function submitSweep(api: Api, loaded: LoadedSweep, namespace: string, { dryRun = false } = {}): Promise<Sweep> {
  const { name, spec, base } = loaded;
  const sweep: Sweep = {
    apiVersion,
    kind: 'Sweep',
    metadata: { name, namespace },
    spec: { ...spec, base: { ...spec.base, spec: base.job.given.spec } },
  };
  checkTrials(searchOf(sweep), anySettings);
  const where = `${name} --namespace ${namespace}`;
  const seen = `see it with \`kubectl get sweep ${where}\`, remove it with \`kubectl delete sweep ${where}\``;
  return createNew(api, sweep, { what: 'sweep', seen, dryRun });
}
