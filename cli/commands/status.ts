import { BaseCommand, program } from '../base.ts';
import { clusterFlags, jobName, namespaceHint, openJob } from '../cluster.ts';

export default class Status extends BaseCommand {
  static override summary = 'Show all about one job: phase, conditions, progress, first failure, pods, restarts.';
  static override examples = ['<%= config.bin %> status skin', '<%= config.bin %> status skin --json'];
  static override args = { name: jobName };
  static override flags = clusterFlags;

  async run() {
    const { args, flags } = await this.parse(Status);
    const cluster = await openJob(args, flags);
    const { api, job: name } = cluster;
    const { getJob } = await import('../../k8s/jobs.ts');
    const { podsOf } = await import('../../k8s/pods.ts');
    const { jobReport, podOutline } = await import('../render/jobs.ts');
    const job = await getJob(api, name);
    const pods = await podsOf(api, name);
    this.log(jobReport(job, pods, { now: new Date(), program, hint: namespaceHint(cluster, flags) }));
    return { job, pods: pods.map(podOutline) };
  }
}
