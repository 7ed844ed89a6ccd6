import { Flags } from '@oclif/core';
import { BaseCommand, program } from '../../base.ts';
import { sweepFolderArgument } from '../../sweep.ts';

export default class SweepBest extends BaseCommand {
  static override summary = 'Write the job of the best trial, as a file that `train` takes.';
  static override description = 'Exit codes: 0, 4 where there is no sweep, or where no trial has a value yet.';
  static override examples = [
    '<%= config.bin %> sweep best runs/sweep --out best.yaml',
    '<%= config.bin %> sweep best runs/sweep > best.yaml',
  ];
  static override args = { sweep: sweepFolderArgument };
  static override flags = { out: Flags.string({ description: 'The file. [default: standard output, with paths from here]' }) };

  async run() {
    const { args, flags } = await this.parse(SweepBest);
    const { bestJob, bestWeightsOf, folderOf } = await import('../../../trainer/sweep/best.ts');
    const { sweepFolderAt } = await import('../../../trainer/sweep/read.ts');
    const { writeAtomically } = await import('../../../trainer/storage/files.ts');
    const folder = sweepFolderAt(args.sweep);
    const { trial, text } = await bestJob(folder, folderOf(flags.out));
    const weights = bestWeightsOf(folder, trial);
    if (flags.out === undefined) this.log(text.trimEnd());
    else {
      await writeAtomically(flags.out, text);
      this.log(`${flags.out}: trial ${trial.number}; its weights are ${weights}\nnext:\n  ${program} train ${flags.out}`);
    }
    return { trial, weights, job: text };
  }
}
