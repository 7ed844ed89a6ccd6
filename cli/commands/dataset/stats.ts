import { Args } from '@oclif/core';
import { BaseCommand, ignoreFlag } from '../../base.ts';

export default class DatasetStats extends BaseCommand {
  static override summary = 'Count a data set: cases, sizes, channels, foreground, values of the masks.';
  static override args = { path: Args.string({ required: true, description: 'The data set: a folder or a manifest.' }) };
  static override flags = { ignore: ignoreFlag };

  async run() {
    const { args, flags } = await this.parse(DatasetStats);
    const { dataStatistics } = await import('../../../trainer/data/stats.ts');
    const { percent, progressBar, table } = await import('../../render/text.ts');
    const found = await dataStatistics(args.path, flags);
    const listed = (counts: Readonly<Record<string, number>>) =>
      Object.entries(counts)
        .map(([name, count]) => `${name}: ${count}`)
        .join(', ');
    this.log(`${found.cases} cases, ${found.labelled} with a mask${found.unreadable > 0 ? `, ${found.unreadable} unreadable` : ''}`);
    this.log(`parts     ${listed(found.parts)}`);
    this.log(
      `sizes     ${listed(Object.fromEntries(found.sizes.slice(0, 8).map(({ size, count }) => [size, count])))}${found.sizes.length > 8 ? `, and ${found.sizes.length - 8} more` : ''}`,
    );
    this.log(`formats   ${listed(found.formats)}`);
    this.log(`channels  ${listed(found.channels)}`);
    if (found.foreground) {
      const { mean, median, min, max, pooled, histogram } = found.foreground;
      this.log(
        `foreground of a mask: mean ${percent(mean, 2)}, median ${percent(median, 2)}, ${percent(min, 2)} to ${percent(max, 2)}; of all pixels ${percent(pooled, 2)}`,
      );
      const most = Math.max(...histogram.map(({ count }) => count));
      for (const { upTo, count } of histogram) this.log(`  up to ${percent(upTo).padStart(7)}  ${progressBar(count / most, 30)}  ${count}`);
      const rows = found.values.map(({ value, pixels, share, masks }) => [String(value), String(pixels), percent(share, 2), String(masks)]);
      this.log(table(['value of the mask', 'pixels', 'share', 'in masks'], rows.slice(0, 20)));
      if (rows.length > 20) this.log(`and ${rows.length - 20} more values (all with --json)`);
    }
    return found;
  }
}
