import { Args, Flags } from '@oclif/core';
import { SegfleetError } from '../../trainer/errors.ts';
import { BaseCommand, program, setFlag } from '../base.ts';
import { clusterFlags, followFlag, namespaceHint, openCluster, tell } from '../cluster.ts';

export default class Submit extends BaseCommand {
  static override summary = 'Run a job on a cluster: the very file that `train` takes.';
  static override description =
    'The file is checked here as `train` checks it, and then by the cluster. What it leaves out is left to the cluster. With --follow the exit code is that of the run.';
  static override examples = [
    '<%= config.bin %> submit job.yaml',
    '<%= config.bin %> submit job.yaml --set workers.replicas=4 --set training.lanes=4 --follow',
    '<%= config.bin %> submit job.yaml --set metadata.name=second-try --namespace team-a --dry-run',
  ];
  static override args = { job: Args.string({ required: true, description: 'The job file (`init` writes one).' }) };
  static override flags = {
    set: setFlag,
    ...clusterFlags,
    follow: followFlag('Shows how the job goes until it has ended.'),
    'dry-run': Flags.boolean({
      description: 'Asks the cluster whether it would take the job, and leaves it there.',
      exclusive: ['follow'],
    }),
  };

  async run() {
    const { args, flags } = await this.parse(Submit);
    const { loadJob } = await import('../../trainer/spec.ts');
    const { submitJob } = await import('../../k8s/jobs.ts');
    const { given } = loadJob(args.job, flags.set ?? []);
    const { name, namespace: ofFile } = given.metadata;
    if (flags.namespace !== undefined && ofFile !== undefined && flags.namespace !== ofFile) {
      const sentence = `${args.job} says metadata.namespace: ${ofFile}, and --namespace says ${flags.namespace}; leave one of them out`;
      throw new SegfleetError('usage', sentence);
    }
    const cluster = await openCluster({ ...flags, namespace: flags.namespace ?? ofFile });
    const { api, namespace } = cluster;
    const dryRun = flags['dry-run'] ?? false;
    const { metadata } = await submitJob(api, given, namespace, { dryRun });
    if (dryRun) {
      this.log(`${name} would be taken in namespace ${namespace}`);
      return { name, namespace, dryRun };
    }
    const done = { name, namespace, uid: metadata.uid };
    const hint = namespaceHint(cluster, flags);
    if (!flags.follow) {
      this.log(`submitted ${name} in namespace ${namespace}`);
      this.log(`next:\n  ${program} status ${name}${hint}\n  ${program} logs ${name} --follow${hint}\n  ${program} cancel ${name}${hint}`);
      return done;
    }
    if (!this.jsonEnabled()) tell(`submitted ${name} in namespace ${namespace}; Ctrl-C ends the looking on, not the job`);
    const { showJob } = await import('../followJob.ts');
    await showJob(api, { name, namespace }, { json: this.jsonEnabled(), hint });
  }
}
