import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base.ts';

export default class Evaluate extends BaseCommand {
  static override summary = 'Measure the weights of a run on its validation or test images.';
  static override description =
    'Writes evaluation/<best|last>/ (of the test part: evaluation/<best|last>/test/) in the run folder: scores.json (each number with its convention), cases.csv (every image), roc.svg, reliability.svg, overlays/*.png.';
  static override examples = ['<%= config.bin %> evaluate runs/nuclei', '<%= config.bin %> evaluate runs/nuclei --select last --json'];
  static override args = { run: Args.string({ required: true, description: 'The run folder.' }) };
  static override flags = {
    select: Flags.option({
      options: ['best', 'last'] as const,
      default: 'best' as const,
      description: 'Weights of the best epoch (by validation Jaccard) or of the last.',
    })(),
    part: Flags.option({
      options: ['validation', 'test'] as const,
      description:
        'Which images that the run did not train on; test: those of data.split.test. With --data, the part of its manifest. [default: validation]',
    })(),
    data: Flags.string({
      helpValue: 'PATH',
      description: 'Another data set: all its images; where it has several parts, those of --part, else of training.',
    }),
  };

  async run() {
    const { args, flags } = await this.parse(Evaluate);
    const { preloadTensorFlow } = await import('../../trainer/engine/native.ts');
    void preloadTensorFlow();
    const { evaluateRun } = await import('../../trainer/evaluateRun.ts');
    const { renderScores } = await import('../render/scores.ts');
    const result = await evaluateRun(args.run, flags);
    this.log(
      `${result.run}, ${result.select} epoch, ${result.scores.images} ${result.part === 'all' ? '' : `${result.part} `}images of ${result.data}`,
    );
    this.log(renderScores(result));
    this.log(`${result.convention}\nreport: ${result.folder} (scores.json, cases.csv, roc.svg, reliability.svg, overlays/)`);
    return result;
  }
}
