import { Args, Flags } from '@oclif/core';
import { SegfleetError } from '../../../trainer/errors.ts';
import { BaseCommand } from '../../base.ts';

export default class LossesValue extends BaseCommand {
  static override summary = 'Compute a loss and its gradient on given pixels.';
  static override examples = ['<%= config.bin %> losses value dice --prediction 0.9,0.2,0.7,0.1 --target 1,0,1,0 --set smooth=1'];
  static override args = { name: Args.string({ required: true, description: 'Name of the loss (`losses` lists them).' }) };
  static override flags = {
    prediction: Flags.string({
      required: true,
      helpValue: 'p,p,...',
      description: 'Probabilities of the pixels (0 and 1 are kept 1e-7 inside).',
    }),
    target: Flags.string({ required: true, helpValue: 't,t,...', description: 'Targets of the same pixels.' }),
    set: Flags.string({ multiple: true, helpValue: 'field=value', description: 'A field of the loss.' }),
  };

  async run() {
    const { args, flags } = await this.parse(LossesValue);
    const { lossAt, parseLoss } = await import('../../../trainer/losses/inspect.ts');
    const prediction = numbers('--prediction', flags.prediction);
    const target = numbers('--target', flags.target);
    if (prediction.length !== target.length) {
      throw new SegfleetError(
        'usage',
        `--prediction has ${prediction.length} numbers and --target ${target.length}; one target a pixel is expected`,
      );
    }
    const result = lossAt(parseLoss(args.name, flags.set ?? []), prediction, target);
    const { table } = await import('../../render/text.ts');
    const digits = (value: number) => String(Number(value.toPrecision(6)));
    this.log(`${args.name} = ${digits(result.value)}`);
    const rows = prediction.map((p, i) => [p, target[i], result.gradient.probability[i], result.gradient.logit[i]].map(digits));
    this.log(table(['prediction', 'target', 'd/d probability', 'd/d logit'], rows));
    return result;
  }
}

function numbers(flag: string, text: string): number[] {
  return text.split(',').map(part => {
    const value = Number(part);
    if (part.trim() === '' || !(value >= 0 && value <= 1)) {
      throw new SegfleetError('usage', `${flag} ${text}: "${part}" is not a number from 0 to 1; give them separated by commas`);
    }
    return value;
  });
}
