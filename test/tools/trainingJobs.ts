/**
 * TrainingJobs for tests, as they come from the API server, and what their children are made of.
 */
import type { TrainingJob } from '../../k8s/objects.ts';
import type { Settings } from '../../k8s/plan.ts';
import { accept } from '../../k8s/policies/acceptance.ts';
import type { Recipe } from '../../k8s/resources/owner.ts';

export const settings: Settings = {
  image: 'segfleet:1',
  store: 's3://runs/models',
  storeSecret: 'store',
  clients: [{ namespace: 'segfleet', labels: { 'app.kubernetes.io/name': 'segfleet-operator' } }],
};

export function trainingJob(spec: Record<string, unknown> = {}, metadata: Partial<TrainingJob['metadata']> = {}): TrainingJob {
  return {
    apiVersion: 'segfleet.dev/v1alpha1',
    kind: 'TrainingJob',
    metadata: {
      ...{ name: 'nuclei', namespace: 'team', uid: '0d9f4b1c-0000-4000-8000-000000000000', generation: 1 },
      ...{ creationTimestamp: '2026-11-26T10:00:00Z', ...metadata },
    },
    spec: { data: { path: 's3://data/nuclei' }, training: { batch: 8 }, ...spec } as TrainingJob['spec'],
  };
}

/** With all that a job may say about its pods. */
export const fullJob = trainingJob({
  data: { path: '/data/nuclei' },
  training: { batch: 9 },
  workers: { replicas: 3, min: 2 },
  priorityClassName: 'research',
  pod: {
    ...{ image: 'registry.example/segfleet:2', imagePullPolicy: 'Always', imagePullSecrets: ['pull'], serviceAccountName: 'trainer' },
    resources: { requests: { cpu: 1, memory: '2Gi' }, limits: { cpu: '1500m', memory: '4Gi' } },
    coordinator: { resources: { limits: { memory: '1Gi' } } },
    ...{ gpus: 2, nodeSelector: { gpu: 'h100' }, tolerations: [{ key: 'gpu', operator: 'Exists', effect: 'NoSchedule' }] },
    volumes: [
      { name: 'data', mountPath: '/data', readOnly: true, claim: 'nuclei' },
      { name: 'ca', mountPath: '/ca', secret: 'ca' },
      { name: 'lists', mountPath: '/lists', configMap: 'lists' },
      { name: 'scratch', mountPath: '/scratch', emptyDir: { medium: 'Memory', sizeLimit: '1Gi' } },
    ],
    env: [
      { name: 'HTTPS_PROXY', value: 'http://proxy.example:3128' },
      { name: 'PRICE', value: '$(HOME) costs $5' },
    ],
    ...{
      storeSecret: 'bucket',
      terminationGracePeriodSeconds: 120,
      labels: { team: 'vision' },
      annotations: { 'example.com/cost': 'low' },
    },
  },
});

export function recipeOf(owner: TrainingJob, more: Partial<Settings> = {}): Recipe {
  const all = { ...settings, ...more };
  const accepted = accept(owner, all);
  if ('refusal' in accepted) throw new Error(accepted.refusal);
  return { owner, job: accepted.job, settings: all };
}
