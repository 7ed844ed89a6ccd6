/**
 * Whom the coordinator of a job tells of its run: what the operator was told for all jobs, and a job may say otherwise in `pod.env`.
 */
import type { Recipe } from './owner.ts';

/** Names of the variables, and of the keys in the Secret. */
export const mlflowCredentials = ['MLFLOW_TRACKING_USERNAME', 'MLFLOW_TRACKING_PASSWORD', 'MLFLOW_TRACKING_TOKEN'] as const;

type Variable = { readonly name: string } & (
  | { readonly value: string }
  | { readonly valueFrom: { readonly secretKeyRef: { readonly name: string; readonly key: string; readonly optional: true } } }
);

/** Of the container of the coordinator. Where a namespace lacks the Secret, the run goes on and the server refuses to hear of it. */
export function trackerVariables({ job, settings: { trackers = {} } }: Pick<Recipe, 'job' | 'settings'>): Variable[] {
  const { mlflow, mlflowSecret, traces } = trackers;
  const own = new Set((job.spec.pod.env ?? []).map(({ name }) => name));
  // Credentials are for the operator's server alone.
  const isTold = mlflow !== undefined && !own.has('MLFLOW_TRACKING_URI');
  const variables: Variable[] = [
    ...(isTold ? [{ name: 'MLFLOW_TRACKING_URI', value: mlflow }] : []),
    ...(isTold && mlflowSecret !== undefined
      ? mlflowCredentials.map(name => ({ name, valueFrom: { secretKeyRef: { name: mlflowSecret, key: name, optional: true as const } } }))
      : []),
    ...(traces === undefined ? [] : [{ name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: traces }]),
  ];
  return variables.filter(({ name }) => !own.has(name));
}
