import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../base.ts';

export default class LossesExplain extends BaseCommand {
  static override summary = 'Show what a loss computes: formula, slope at both ends, value and derivative as a plot.';
  static override description = 'For adaptiveLog the plot is Figure 1 of the paper: the derivative against the loss that is wrapped.';
  static override examples = [
    '<%= config.bin %> losses explain adaptiveLog --svg figure1.svg',
    '<%= config.bin %> losses explain adaptiveLog --set continuity=slope',
    '<%= config.bin %> losses explain focal --set focus=3',
  ];
  static override args = { name: Args.string({ required: true, description: 'Name of the loss (`losses` lists them).' }) };
  static override flags = {
    set: Flags.string({ multiple: true, helpValue: 'field=value', description: 'A field of the loss.' }),
    svg: Flags.string({ helpValue: 'FILE', description: 'Also write the plot to this file.' }),
  };

  async run() {
    const { args, flags } = await this.parse(LossesExplain);
    const { explainLoss, parseLoss } = await import('../../../trainer/losses/inspect.ts');
    const { plotText } = await import('../../render/plot.ts');
    const explanation = explainLoss(parseLoss(args.name, flags.set ?? []));
    const { name, summary, formula, source, options, x, slopes, curve, kink } = explanation;
    if (flags.svg) {
      const { renderChart } = await import('../../../trainer/report/chart.ts');
      const { writeAtomically } = await import('../../../trainer/storage/files.ts');
      const series = (['value', 'derivative'] as const).map(key => ({
        name: key,
        points: curve.map(point => [point.x, point[key]] as const),
      }));
      await writeAtomically(
        flags.svg,
        renderChart({ title: `${name}: value and derivative`, x, y: '', series, marks: kink ? [kink] : [] }),
      );
    }
    this.log(`${name}: ${summary}\n  ${formula}\n  ${source}\n  ${JSON.stringify(options)}\n`);
    for (const { at, slope } of slopes) this.log(`slope at ${at}: ${Number(slope.toPrecision(6))}`);
    for (const key of ['value', 'derivative'] as const)
      this.log(`\n${key} against ${x}\n${plotText(curve.map(point => [point.x, point[key]] as const))}`);
    if (flags.svg) this.log(`\nplot: ${flags.svg}`);
    return explanation;
  }
}
