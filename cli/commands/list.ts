import { Flags } from '@oclif/core';
import { BaseCommand, program } from '../base.ts';
import { clusterFlags, namespaceHint, openCluster } from '../cluster.ts';

export default class List extends BaseCommand {
  static override summary = 'List the jobs of a namespace and how far they are.';
  static override examples = ['<%= config.bin %> list', '<%= config.bin %> list --all-namespaces --json'];
  static override flags = {
    ...clusterFlags,
    'all-namespaces': Flags.boolean({ char: 'A', description: 'Those of all namespaces.', exclusive: ['namespace'] }),
  };

  async run() {
    const { flags } = await this.parse(List);
    const cluster = await openCluster(flags);
    const { listJobs } = await import('../../k8s/jobs.ts');
    const { jobTable, outlineOf } = await import('../render/jobs.ts');
    const all = flags['all-namespaces'] ?? false;
    const jobs = await listJobs(cluster.api, all ? {} : { namespace: cluster.namespace });
    if (jobs.length > 0) this.log(jobTable(jobs, { now: new Date(), withNamespace: all }));
    else {
      const where = all ? 'in any namespace' : `in namespace ${cluster.namespace}`;
      this.logToStderr(`there are no jobs ${where}; \`${program} submit job.yaml${namespaceHint(cluster, flags)}\` makes one`);
    }
    return { ...(!all && { namespace: cluster.namespace }), jobs: jobs.map(outlineOf) };
  }
}
