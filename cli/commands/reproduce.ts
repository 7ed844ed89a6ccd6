import { Args, Flags } from '@oclif/core';
import { SegfleetError } from '../../trainer/errors.ts';
import { BaseCommand, stopSignal } from '../base.ts';
import { tellOf, trackerFlags } from '../tracking.ts';

export default class Reproduce extends BaseCommand {
  static override summary = "Do the paper's experiments again, at full size or smaller, and fill its tables with what comes out.";
  static override description =
    `table1 and table2 are searches for omega and epsilon, then gamma; table3 compares six losses on three data sets with two networks; table4 is the paper's own row of a comparison. fig1 is the loss and its slope, fig2 and fig3 are the ROC curves of Table 3. Or name job files, sweep files and folders of them, such as examples/paper.

Tiers: smoke takes minutes a table on two cores, reduced about an hour, full is the paper's (213 trainings for all tables). What a tier reduces is told in the title of every table and in every file.

Writes <out>/<job or search>/ (folders of sweeps, which report and the commands of sweeps take), <out>/tables.md, tables.csv, convergence.csv, and figures as SVG and CSV. Started again it goes on: what is done is not done again, and a training that two tables need is done once. Where trainings fail the others go on; the exit code is then 9.`;
  static override examples = [
    '<%= config.bin %> reproduce table1 --tier smoke --data isic2018=data/isic2018',
    '<%= config.bin %> reproduce table1 table2 table3 table4 --dry-run --json',
    '<%= config.bin %> reproduce table3 fig2 fig3 --tier reduced --data isic2018=PATH --data dsb2018=PATH --data drive=PATH',
    '<%= config.bin %> reproduce my-jobs/ --runs 1 --set training.epochs=2 --set unet:model.width=16',
  ];
  static override strict = false;
  static override args = {
    experiments: Args.string({ required: true, description: 'table1, table2, table3, table4, fig1, fig2, fig3; or files and folders.' }),
  };
  static override flags = {
    tier: Flags.option({
      options: ['smoke', 'reduced', 'full'] as const,
      default: 'full' as const,
      description: "Size of images, network and data, epochs and runs: full is the paper's.",
    })(),
    data: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'NAME=PATH',
      description: 'Where a data set lies: isic2018, dsb2018 or drive. Otherwise the path in the job.',
    }),
    set: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: '[NAME:]a.b=value',
      description: 'Overrides a field of all jobs, or of those of a data set, network or loss: drive:data.patches.perImage=100.',
    }),
    runs: Flags.integer({ min: 1, description: 'Trainings of each cell, with seeds one apart. [default: as many as the tier says]' }),
    out: Flags.string({ description: 'Folder for the runs and the tables. [default: runs/paper, runs/paper-<tier>]' }),
    ...trackerFlags,
    'dry-run': Flags.boolean({ description: 'Only say what would be trained: cells, runs, and those that tables share.' }),
  };

  async run() {
    const { argv, flags } = await this.parse(Reproduce);
    const data = new Map((flags.data ?? []).map(splitPair));
    const out = flags.out ?? (flags.tier === 'full' ? 'runs/paper' : `runs/paper-${flags.tier}`);
    const options = { inputs: argv as string[], tier: flags.tier, data, settings: flags.set ?? [], runs: flags.runs, out };
    const { planReproduction, reproduce } = await import('../../trainer/reproduce/reproduce.ts');
    if (flags['dry-run']) {
      const plan = await planReproduction(options);
      const { planLines } = await import('../render/reproduction.ts');
      for (const line of planLines(plan)) this.log(line);
      return plan;
    }
    const json = this.jsonEnabled();
    const { reproductionLines } = await import('../render/reproduction.ts');
    const render = reproductionLines();
    for await (const event of reproduce({ ...options, signal: stopSignal(), tell: folder => tellOf(flags, folder) })) {
      if (json) process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
      else for (const line of render(event)) this.log(line);
    }
    return undefined;
  }
}

function splitPair(pair: string): [string, string] {
  const equals = pair.indexOf('=');
  if (equals < 1) throw new SegfleetError('usage', `--data ${pair}: name=path is expected, for example --data isic2018=../data/isic2018`);
  return [pair.slice(0, equals), pair.slice(equals + 1)];
}
