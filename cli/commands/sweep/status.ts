import { BaseCommand } from '../../base.ts';
import { sweepFolderArgument } from '../../sweep.ts';

export default class SweepStatus extends BaseCommand {
  static override summary = 'Say where a sweep stands: how many trials of each kind, the best, what runs and what failed.';
  static override description = 'Exit codes: 0 whatever its state, 4 where there is none.';
  static override examples = ['<%= config.bin %> sweep status runs/sweep'];
  static override args = { sweep: sweepFolderArgument };

  async run() {
    const { args } = await this.parse(SweepStatus);
    const { readSweep, sweepFolderAt } = await import('../../../trainer/sweep/read.ts');
    const { statusText } = await import('../../render/sweep.ts');
    const folder = sweepFolderAt(args.sweep);
    const { record, isDriven } = await readSweep(folder);
    this.log(statusText(record, { isDriven, folder: folder.path }));
    const { status, reason, counts, best, startedAt, endedAt } = record;
    const runs = record.trials.flatMap(trial => trial.runs);
    return {
      ...{ folder: folder.path, name: record.name, status, isDriven, reason, startedAt, endedAt, counts },
      best: best === undefined ? undefined : record.trials[best],
      running: runs.filter(({ state }) => state === 'running'),
      failed: runs.filter(({ state }) => state === 'failed'),
    };
  }
}
