import { Args, Flags } from '@oclif/core';
import { BaseCommand, partFlag, selectFlag } from '../base.ts';

export default class Compare extends BaseCommand {
  static override summary = 'Compare runs image by image: mean difference, interval, and tests corrected for their number.';
  static override description = `Runs must share data set, split and classes. Runs that were not evaluated yet are evaluated first.

A run is called better only where the bootstrap interval of the difference excludes 0 and the p-value after Holm's correction is below 0.05. It says nothing about other seeds: one run is one draw.`;
  static override examples = [
    '<%= config.bin %> compare runs/all runs/dice',
    '<%= config.bin %> compare runs/all runs/dice runs/focal --metric jaccard --metric recall --json',
  ];
  static override strict = false;
  static override args = { runs: Args.string({ required: true, description: 'Two or more run folders.' }) };
  static override flags = {
    metric: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      default: ['jaccard', 'dice'],
      helpValue: 'NAME',
      description: 'A column of cases.csv. May be given more than once; each adds tests to correct for.',
    }),
    part: partFlag,
    select: selectFlag,
  };

  async run() {
    const { argv, flags } = await this.parse(Compare);
    const { compareRuns } = await import('../../trainer/compareRuns.ts');
    const { renderComparison } = await import('../render/comparison.ts');
    const comparison = await compareRuns(argv as string[], { select: flags.select, part: flags.part, metrics: flags.metric });
    this.log(renderComparison(comparison));
    return comparison;
  }
}
