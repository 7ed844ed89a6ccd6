import { Args, Flags } from '@oclif/core';
import { SegfleetError } from '../../trainer/errors.ts';
import type { LoadedSweep } from '../../trainer/sweep/sweepFile.ts';
import { BaseCommand, program, setFlag } from '../base.ts';
import { clusterFlags, followFlag, namespaceHint, openCluster, tell } from '../cluster.ts';

export default class Submit extends BaseCommand {
  static override summary = 'Run a job or a sweep on a cluster: the very file that `train` or `sweep run` takes.';
  static override description =
    'The file is checked here as `train` checks it, and then by the cluster. What it leaves out is left to the cluster. With --follow the exit code is that of the run. The job of a sweep may be a file of its own; --set changes that job.';
  static override examples = [
    '<%= config.bin %> submit job.yaml',
    '<%= config.bin %> submit job.yaml --set workers.replicas=4 --set training.lanes=4 --follow',
    '<%= config.bin %> submit job.yaml --set metadata.name=second-try --namespace team-a --dry-run',
    '<%= config.bin %> submit sweep.yaml',
  ];
  static override args = { job: Args.string({ required: true, description: 'The job file (`init` writes one), or the sweep file.' }) };
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
    const { isSweepFile, loadSweep } = await import('../../trainer/sweep/sweepFile.ts');
    if (isSweepFile(args.job)) return this.#submitSweep(loadSweep(args.job, flags.set), flags);
    const { loadJob } = await import('../../trainer/spec.ts');
    const { submitJob } = await import('../../k8s/jobs.ts');
    const { given } = loadJob(args.job, flags.set ?? []);
    const { name, namespace: ofFile } = given.metadata;
    const cluster = await openCluster({ ...flags, namespace: namespaceOf(args.job, ofFile, flags.namespace) });
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

  async #submitSweep(sweep: LoadedSweep, flags: { namespace?: string; context?: string; follow: boolean; 'dry-run': boolean }) {
    if (flags.follow) throw new SegfleetError('usage', '--follow follows one job, and this is a sweep; leave it out');
    const { submitSweep } = await import('../../k8s/sweeps.ts');
    const { name } = sweep;
    const cluster = await openCluster({ ...flags, namespace: namespaceOf(sweep.file, sweep.namespace, flags.namespace) });
    const { api, namespace } = cluster;
    const dryRun = flags['dry-run'];
    const { metadata } = await submitSweep(api, sweep, namespace, { dryRun });
    if (dryRun) {
      this.log(`${name} would be taken in namespace ${namespace}`);
      return { name, namespace, dryRun };
    }
    this.log(`submitted the sweep ${name} in namespace ${namespace}`);
    const where = `--namespace ${namespace}`;
    this.log(
      `next:\n  kubectl get sweep ${name} ${where} --watch\n  ${program} list${namespaceHint(cluster, flags)}\n  kubectl delete sweep ${name} ${where}`,
    );
    return { name, namespace, uid: metadata.uid };
  }
}

/** @throws usage: two that differ */
function namespaceOf(file: string, ofFile: string | undefined, given: string | undefined): string | undefined {
  if (given === undefined || ofFile === undefined || given === ofFile) return given ?? ofFile;
  throw new SegfleetError('usage', `${file} says metadata.namespace: ${ofFile}, and --namespace says ${given}; leave one of them out`);
}
