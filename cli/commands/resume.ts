import { BaseCommand, program } from '../base.ts';
import { clusterFlags, jobName, namespaceHint, openJob } from '../cluster.ts';

export default class Resume extends BaseCommand {
  static override summary = 'Let a suspended job go on from its newest checkpoint.';
  static override examples = ['<%= config.bin %> resume skin'];
  static override args = { name: jobName };
  static override flags = clusterFlags;

  async run() {
    const { args, flags } = await this.parse(Resume);
    const cluster = await openJob(args, flags);
    const { suspendJob } = await import('../../k8s/jobs.ts');
    const { name } = cluster.job;
    const { isNews } = await suspendJob(cluster.api, cluster.job, false);
    const hint = namespaceHint(cluster, flags);
    this.log(isNews ? `${name} goes on from its newest checkpoint` : `${name} is not suspended`);
    this.log(`next:\n  ${program} wait ${name} --for running${hint}\n  ${program} logs ${name} --follow${hint}`);
    return { ...cluster.job, suspend: false, changed: isNews };
  }
}
