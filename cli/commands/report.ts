import { Args, Flags } from '@oclif/core';
import { BaseCommand, partFlag, selectFlag } from '../base.ts';

export default class Report extends BaseCommand {
  static override summary = 'Everything about runs, or about a sweep, as one page that opens without a network.';
  static override description =
    `Runs that differ only in their seeds are one arm; arms of the same data set are compared: results, convergence, ROC, differences with intervals and tests, overlays, images, cost, failures, records, conventions. Every table can be taken from the page as CSV, Markdown or LaTeX, every chart as SVG.

Runs that were not evaluated yet are evaluated first. The same runs give the same page, byte for byte.`;
  static override examples = [
    '<%= config.bin %> report runs/all-1 runs/all-2 runs/dice-1 runs/dice-2',
    '<%= config.bin %> report runs/my-sweep --out sweep.html --tables tables',
  ];
  static override strict = false;
  static override args = {
    runs: Args.string({
      required: true,
      description: 'Run folders, folders of sweeps, and folders that hold such, as those of `reproduce`.',
    }),
  };
  static override flags = {
    out: Flags.string({ default: 'report.html', description: 'The page.' }),
    tables: Flags.string({ helpValue: 'FOLDER', description: 'Also writes each table there as CSV, Markdown and LaTeX.' }),
    title: Flags.string({ description: 'Of the page. [default: what is compared, and on what]' }),
    metric: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      default: ['jaccard'],
      helpValue: 'NAME',
      description:
        'A column of cases.csv to compare by. May be given more than once; each adds tests to correct for. Images are in order of the first.',
    }),
    delta: Flags.string({ default: '0.02', description: 'How near its best a curve must be to have converged.' }),
    part: partFlag,
    select: selectFlag,
  };

  async run() {
    const { argv, flags } = await this.parse(Report);
    const { makeReport } = await import('../../trainer/makeReport.ts');
    const { renderReport } = await import('../render/report.ts');
    const { metric: metrics, ...options } = flags;
    const report = await makeReport(argv as string[], { ...options, metrics, delta: Number(flags.delta) });
    this.log(renderReport(report));
    return report;
  }
}
