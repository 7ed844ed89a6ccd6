import { BaseCommand, stopSignal } from '../../base.ts';
import { sweepFolderArgument } from '../../sweep.ts';

export default class SweepResume extends BaseCommand {
  static override summary = 'Let a sweep go on that was paused.';
  static override description =
    'Returns when it is so. Where no process runs the sweep it is noted for the one that next does. Exit codes: 0, 4 where there is no sweep.';
  static override examples = ['<%= config.bin %> sweep resume runs/sweep'];
  static override args = { sweep: sweepFolderArgument };

  async run() {
    const { args } = await this.parse(SweepResume);
    const { askSweep } = await import('../../../trainer/sweep/ask.ts');
    const { sweepFolderAt } = await import('../../../trainer/sweep/read.ts');
    const { answerText } = await import('../../render/sweep.ts');
    const folder = sweepFolderAt(args.sweep);
    const answer = await askSweep(folder, 'run', { signal: stopSignal() });
    this.log(answerText(answer, folder.path));
    return { folder: folder.path, ...answer };
  }
}
