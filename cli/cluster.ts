/**
 * What the commands against a cluster share: which cluster, which namespace, which job, and how one stops looking on.
 */
import { Args, Flags } from '@oclif/core';
import type { Api } from '../k8s/api.ts';
import type { JobName } from '../k8s/jobs.ts';

export const clusterFlags = {
  namespace: Flags.string({ char: 'n', helpValue: 'NAME', description: 'Of the cluster. [default: that of the context]' }),
  context: Flags.string({ helpValue: 'NAME', description: 'A context of the kubeconfig. [default: the current one]' }),
};

export const jobName = Args.string({ required: true, description: 'The job.' });

export const followFlag = (what: string) => Flags.boolean({ char: 'f', description: `${what} Ctrl-C ends the looking on, not the job.` });

export interface Cluster {
  readonly api: Api;
  readonly namespace: string;
}

/** When an API server has not answered by then, a user is told whom we wait for. */
const patienceMs = 1000;

export async function openCluster({ namespace, context }: { namespace?: string; context?: string }): Promise<Cluster> {
  const { checkName } = await import('../k8s/jobs.ts');
  if (namespace !== undefined) checkName('namespace', namespace);
  const { connect } = await import('../k8s/api.ts');
  const api = await connect({ context });
  setTimeout(() => {
    if (api.answers === 0) tell(`waiting for the API server ${api.server} ...`);
  }, patienceMs).unref();
  return { api, namespace: namespace ?? api.namespace };
}

export async function openJob(
  { name }: { name: string },
  flags: { namespace?: string; context?: string },
): Promise<Cluster & { readonly job: JobName }> {
  const { checkName } = await import('../k8s/jobs.ts');
  checkName('job', name);
  const cluster = await openCluster(flags);
  return { ...cluster, job: { name, namespace: cluster.namespace } };
}

/** For a reader; what a program reads goes to standard output. */
export const tell = (sentence: string): boolean => process.stderr.write(`${sentence}\n`);

/** Aborts at Ctrl-C and at SIGTERM; a second one ends the process at once. */
export function untilStopped(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(130);
      controller.abort();
    });
  }
  return controller.signal;
}

/** Where the namespace is not that of the context, hints name it too. */
export const namespaceHint = ({ api, namespace }: Cluster, { context }: { context?: string } = {}): string =>
  `${namespace === api.namespace ? '' : ` --namespace ${namespace}`}${context === undefined ? '' : ` --context ${context}`}`;
