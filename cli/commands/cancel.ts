import { Flags } from '@oclif/core';
import { SegfleetError } from '../../trainer/errors.ts';
import { BaseCommand } from '../base.ts';
import { clusterFlags, jobName, openJob } from '../cluster.ts';

export default class Cancel extends BaseCommand {
  static override summary = 'End a job and delete it with its pods and logs; its checkpoints stay.';
  static override description =
    'On a terminal it asks before it ends a job that has not ended by itself. To keep the job and only release its pods, `suspend` it.';
  static override examples = ['<%= config.bin %> cancel skin', '<%= config.bin %> cancel skin --yes'];
  static override args = { name: jobName };
  static override flags = { ...clusterFlags, yes: Flags.boolean({ char: 'y', description: 'Does not ask.' }) };

  async run() {
    const { args, flags } = await this.parse(Cancel);
    const { api, job: name } = await openJob(args, flags);
    const { cancelJob, checkpointsOf, getJob } = await import('../../k8s/jobs.ts');
    const { isOver } = await import('../../k8s/outcome.ts');
    const { standing } = await import('../render/jobs.ts');
    const job = await getJob(api, name);
    const checkpoints = await checkpointsOf(api, job);
    const stay = checkpoints ? `its checkpoints stay in ${checkpoints}` : 'its checkpoints stay where they are';
    if (!flags.yes && !isOver(job) && process.stdin.isTTY && process.stderr.isTTY) {
      const { ask } = await import('../ask.ts');
      const isMeant = await ask(`${name.name} (${standing(job)}) will end and be deleted, with its logs; ${stay}. Cancel it?`);
      if (!isMeant) throw new SegfleetError('interrupted', `nothing was done; ${name.name} goes on`);
    }
    await cancelJob(api, job);
    this.log(`deleted ${name.name} from namespace ${name.namespace}; ${stay}`);
    return { ...name, deleted: true, ...(checkpoints && { checkpoints }) };
  }
}
