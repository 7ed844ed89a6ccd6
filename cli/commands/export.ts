import { Args, Flags } from '@oclif/core';
import { BaseCommand, selectFlag } from '../base.ts';

export default class Export extends BaseCommand {
  static override summary = 'Write the weights of a run for other programs.';
  static override description =
    `onnx: a model for ONNX Runtime and others, images [N,C,H,W]. tfjs: a TensorFlow.js layers model for browsers, images [N,H,W,C]; a folder.
safetensors: the weights by name. card: a model card (Markdown) with data, loss, scores and limits; evaluates the run where that was not done.

All models take images from 0 to 1 and give probabilities, in float32.`;
  static override examples = [
    '<%= config.bin %> export runs/nuclei --format onnx',
    '<%= config.bin %> export runs/nuclei --format tfjs --out site/model',
  ];
  static override args = { run: Args.string({ required: true, description: 'The run folder.' }) };
  static override flags = {
    format: Flags.option({ options: ['safetensors', 'onnx', 'tfjs', 'card'] as const, required: true, description: 'What to write.' })(),
    out: Flags.string({
      helpValue: 'PATH',
      description: 'The file, or a folder for it; for tfjs the folder of its files. [default: below export/ in the run folder]',
    }),
    select: selectFlag,
  };

  async run() {
    const { args, flags } = await this.parse(Export);
    const { exportRun } = await import('../../trainer/exportRun.ts');
    const { json: _, ...options } = flags;
    const exported = await exportRun(args.run, options);
    for (const file of exported.files) this.log(`wrote ${file}`);
    if (flags.format !== 'card') this.log(`input:  ${exported.input}\noutput: ${exported.output}`);
    return exported;
  }
}
