import { Args, Flags } from '@oclif/core';
import { BaseCommand, selectFlag } from '../base.ts';

export default class Predict extends BaseCommand {
  static override summary = 'Segment images with the weights of a run.';
  static override description =
    'Writes one mask an image, PNG at the size of the image: 0 and 255, or the labels where there are several classes.';
  static override examples = [
    '<%= config.bin %> predict runs/nuclei image.png folder/ --out predictions --probabilities --flips',
    'find scans -name "*.tif" | <%= config.bin %> predict runs/nuclei -',
  ];
  static override strict = false;
  static override args = {
    run: Args.string({ required: true, description: 'The run folder.' }),
    images: Args.string({
      required: true,
      ignoreStdin: true,
      description: 'Image files and folders; - for a list from stdin.',
    }),
  };
  static override flags = {
    out: Flags.string({ default: 'predictions', description: 'Folder for the masks.' }),
    select: selectFlag,
    probabilities: Flags.boolean({ description: 'Also write probability maps (16-bit PNG).' }),
    flips: Flags.boolean({
      description: 'Mean of the probabilities over the image and its three mirror images; takes four times as long.',
    }),
  };

  async run() {
    const { argv, flags } = await this.parse(Predict);
    const [run, ...given] = argv as string[];
    const inputs = given.includes('-') ? await withList(given) : given;
    const { preloadTensorFlow } = await import('../../trainer/engine/native.ts');
    void preloadTensorFlow();
    const { predict } = await import('../../trainer/predict.ts');
    const { percent } = await import('../render/text.ts');
    const images = [];
    for await (const result of predict(run, inputs, flags)) {
      this.log(`${result.image} -> ${result.mask}  foreground ${percent(result.foreground)}`);
      images.push(result);
    }
    return { images };
  }
}

/** The inputs, with those that standard input lists in the place of `-`. */
async function withList(given: readonly string[]): Promise<string[]> {
  const { text } = await import('node:stream/consumers');
  const listed = (await text(process.stdin))
    .split('\n')
    .map(line => line.trim())
    .filter(Boolean);
  if (listed.length === 0) {
    const { SegfleetError } = await import('../../trainer/errors.ts');
    throw new SegfleetError('usage', 'standard input lists no image; with - it should hold files and folders, one a line');
  }
  return given.flatMap(input => (input === '-' ? listed : [input]));
}
