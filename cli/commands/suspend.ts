import { BaseCommand, program } from '../base.ts';
import { clusterFlags, jobName, namespaceHint, openJob } from '../cluster.ts';

export default class Suspend extends BaseCommand {
  static override summary = 'Suspend a job: it writes a checkpoint and releases all its pods.';
  static override examples = [
    '<%= config.bin %> suspend skin',
    '<%= config.bin %> suspend skin && <%= config.bin %> wait skin --for suspended',
  ];
  static override args = { name: jobName };
  static override flags = clusterFlags;

  async run() {
    const { args, flags } = await this.parse(Suspend);
    const cluster = await openJob(args, flags);
    const { suspendJob } = await import('../../k8s/jobs.ts');
    const { name } = cluster.job;
    const { isNews } = await suspendJob(cluster.api, cluster.job, true);
    const hint = namespaceHint(cluster, flags);
    this.log(isNews ? `${name} writes a checkpoint and releases its pods` : `${name} is to be suspended already`);
    this.log(`next:\n  ${program} wait ${name} --for suspended${hint}\n  ${program} resume ${name}${hint}`);
    return { ...cluster.job, suspend: true, changed: isNews };
  }
}
