import { Args, Flags } from '@oclif/core';
import { SegfleetError } from '../../../trainer/errors.ts';
import { BaseCommand } from '../../base.ts';

/** Of each kind, in text; JSON has all. */
const shown = 10;

export default class DatasetVerify extends BaseCommand {
  static override summary = 'Check every file of a data set, and name those that are not sound.';
  static override description =
    `Errors (exit code 12): files that are no images, are truncated or of a kind that is not taken; masks of another size than their image, or with values beyond those allowed; the same image on both sides of the split. Warnings: empty and full masks, images that are there twice or nearly so, several connected regions where the set promises one.

The sides are those of --split, else the parts of the manifest.`;
  static override examples = [
    '<%= config.bin %> dataset verify data/isic2018',
    '<%= config.bin %> dataset verify data/drive --split data/drive/split.json',
  ];
  static override args = { path: Args.string({ required: true, description: 'The data set: a folder or a manifest.' }) };
  static override flags = {
    classes: Flags.integer({
      default: 1,
      min: 1,
      max: 255,
      description: 'data.classes of the job: 1 for binary masks, else values are labels.',
    }),
    exclusive: Flags.boolean({ description: 'data.exclusive of the job: each pixel has exactly one class, class 0 the background.' }),
    ignore: Flags.integer({ min: 1, max: 65_535, description: 'data.ignore of the job: the mask value of pixels that do not count.' }),
    split: Flags.string({ helpValue: 'FILE', description: 'A split file.' }),
  };

  async run() {
    const { args, flags } = await this.parse(DatasetVerify);
    const { verifyDataSet } = await import('../../../trainer/data/verify.ts');
    const { problems } = await import('../../../trainer/data/inspect.ts');
    const result = await verifyDataSet(args.path, flags);
    for (const [problem, { severity, meaning }] of Object.entries(problems)) {
      const found = result.findings.filter(one => one.problem === problem);
      if (found.length === 0) continue;
      this.log(`${severity}: ${problem}, ${found.length}: ${meaning}`);
      for (const { sentence } of found.slice(0, shown)) this.log(`  ${sentence}`);
      if (found.length > shown) this.log(`  and ${found.length - shown} more (all with --json)`);
    }
    const sentence = `${result.cases} cases, ${result.errors} errors, ${result.warnings} warnings`;
    if (result.errors > 0) throw new SegfleetError('checkFailed', `${args.path}: ${sentence}`, { details: { ...result } });
    this.log(sentence);
    return result;
  }
}
