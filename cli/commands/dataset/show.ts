import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../base.ts';

export default class DatasetShow extends BaseCommand {
  static override summary = 'Draw one case: its image, and beside it the same with the mask tinted.';
  static override examples = ['<%= config.bin %> dataset show data/isic2018 ISIC_0000000 --out case.png'];
  static override args = {
    path: Args.string({ required: true, description: 'The data set: a folder or a manifest.' }),
    id: Args.string({ required: true, description: 'The id of the case.' }),
  };
  static override flags = { out: Flags.string({ description: 'The PNG file to write. [default: <id>.png here]' }) };

  async run() {
    const { args, flags } = await this.parse(DatasetShow);
    const { showCase } = await import('../../../trainer/data/show.ts');
    const { percent } = await import('../../render/text.ts');
    const shown = await showCase(args.path, args.id, flags.out ?? `${args.id.replace(/[^\w.-]/g, '_')}.png`);
    this.log(
      `${shown.id}: ${shown.width}x${shown.height}, foreground ${percent(shown.foreground, 2)}\n  image   ${shown.image}\n  mask    ${shown.mask ?? 'none'}\n  picture ${shown.picture}`,
    );
    return shown;
  }
}
