import { join } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { SegfleetError } from '../../../trainer/errors.ts';
import { BaseCommand, ignoreFlag } from '../../base.ts';

export default class DatasetSplit extends BaseCommand {
  static override summary = 'Split a data set into training and validation, and write that down.';
  static override description =
    `The file names the cases of both sides, the rule, the seed and the data, and carries a SHA-256 over all of it: a file that was edited is refused. Cases of one group (the column group of the manifest), and cases with the same image bytes, stay together. By patch, pixels of one image lie on both sides: validation then sees what training saw, and the file says so.`;
  static override examples = [
    '<%= config.bin %> dataset split data/isic2018 --share 0.2 --seed 1',
    '<%= config.bin %> dataset split data/drive --by patch --patch 64',
  ];
  static override args = { path: Args.string({ required: true, description: 'The data set: a folder or a manifest.' }) };
  static override flags = {
    share: Flags.string({ default: '0.2', description: 'Of the cases or patches, held out for validation.' }),
    seed: Flags.integer({ default: 0, min: 0, max: 2 ** 31 - 1, description: 'The same seed gives the same split.' }),
    by: Flags.option({
      options: ['image', 'patch'] as const,
      default: 'image' as const,
      description: 'What goes to one side as a whole.',
    })(),
    patch: Flags.integer({ default: 64, min: 8, max: 4096, description: 'Side of the patches in pixels, with --by patch.' }),
    stratify: Flags.boolean({ default: true, allowNo: true, description: 'Hold out small and large masks in the same proportion.' }),
    ignore: ignoreFlag,
    out: Flags.string({ description: 'The file to write. [default: split.json in the folder of the data set]' }),
  };

  async run() {
    const { args, flags } = await this.parse(DatasetSplit);
    const share = Number(flags.share);
    if (!(share > 0 && share < 1))
      throw new SegfleetError('usage', `--share ${flags.share}: a number between 0 and 1 is expected, such as 0.2`);
    const { writeSplit } = await import('../../../trainer/data/splitFile.ts');
    const file = flags.out ?? join(args.path.replace(/[^/]*\.csv$/i, ''), 'split.json');
    const split = await writeSplit(args.path, file, { ...flags, share });
    const unit = split.by === 'image' ? 'cases' : 'patches';
    this.log(
      `${split.training.length} ${unit} for training, ${split.validation.length} for validation: ${file} (sha256 ${split.sha256.slice(0, 12)})`,
    );
    if (split.leaking) this.log('this split leaks: parts of one image lie on both sides, and scores on it are too good');
    return { file, ...split };
  }
}
