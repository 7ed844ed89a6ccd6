import { Args } from '@oclif/core';
import { SegfleetError } from '../../trainer/errors.ts';
import { BaseCommand, program } from '../base.ts';
import { clusterFlags, jobName, namespaceHint, openJob } from '../cluster.ts';

export default class Scale extends BaseCommand {
  static override summary = 'Give a job more or fewer workers. Those that stay go on; the result is the same to the bit.';
  static override description = 'At most as many as the job has lanes (status.maxWorkers), at least workers.min.';
  static override examples = ['<%= config.bin %> scale skin 4'];
  static override args = {
    name: jobName,
    workers: Args.string({ required: true, description: 'How many there shall be.' }),
  };
  static override flags = clusterFlags;

  async run() {
    const { args, flags } = await this.parse(Scale);
    if (!/^\d{1,6}$/.test(args.workers)) {
      throw new SegfleetError(
        'usage',
        `${JSON.stringify(args.workers.slice(0, 100))} is not a number of workers; try ${program} scale ${args.name} 2`,
      );
    }
    const cluster = await openJob(args, flags);
    const { scaleJob } = await import('../../k8s/jobs.ts');
    const { name } = cluster.job;
    const { from, to } = await scaleJob(cluster.api, cluster.job, Number(args.workers));
    this.log(from === to ? `${name} has ${to} workers already` : `${name}: ${to} workers instead of ${from}`);
    this.log(`next:\n  ${program} status ${name}${namespaceHint(cluster, flags)}`);
    return { ...cluster.job, from, to };
  }
}
