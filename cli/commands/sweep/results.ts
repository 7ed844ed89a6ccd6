import { Flags } from '@oclif/core';
import { BaseCommand } from '../../base.ts';
import { sweepFolderArgument } from '../../sweep.ts';

export default class SweepResults extends BaseCommand {
  static override summary = 'Show what the trials of a sweep came to.';
  static override description =
    'A value is that of the objective at the best epoch of a run (by validation Jaccard, as run.json says), of several replicates their mean and sample standard deviation. Exit codes: 0, 4 where there is no sweep.';
  static override examples = [
    '<%= config.bin %> sweep results runs/sweep',
    '<%= config.bin %> sweep results runs/sweep --format csv > results.csv',
  ];
  static override args = { sweep: sweepFolderArgument };
  static override flags = {
    format: Flags.option({
      options: ['table', 'csv'] as const,
      default: 'table' as const,
      description: 'csv: one row a run, all parameters; table: one row a trial, those that differ.',
    })(),
  };

  async run() {
    const { args, flags } = await this.parse(SweepResults);
    const { readSweep, sweepFolderAt } = await import('../../../trainer/sweep/read.ts');
    const { resultsCsv } = await import('../../../trainer/sweep/results.ts');
    const { resultsTable } = await import('../../render/sweep.ts');
    const { record } = await readSweep(sweepFolderAt(args.sweep));
    this.log(flags.format === 'csv' ? resultsCsv(record).trimEnd() : resultsTable(record));
    return record;
  }
}
