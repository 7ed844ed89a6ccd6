import { Args, Flags } from '@oclif/core';
import { SegfleetError } from '../../trainer/errors.ts';
import { BaseCommand, program, stopSignal } from '../base.ts';

export default class Reproduce extends BaseCommand {
  static override summary = "Train the jobs of the paper's tables, and fill the tables with what comes out.";
  static override description =
    `Writes <out>/<job>/seed-<n>/ (run folders), <out>/tables.md and tables.csv. Started again it goes on: what is done is not done again.

Where a job fails the others go on; the exit code is then 9.`;
  static override examples = [
    '<%= config.bin %> reproduce examples/paper --data isic2018=PATH --data dsb2018=PATH --data drive=PATH',
    "<%= config.bin %> reproduce examples/paper --runs 1 --set training.epochs=2 --set data.size='{height: 64, width: 64}' --set unet:model.width=16",
  ];
  static override strict = false;
  static override args = { jobs: Args.string({ required: true, description: 'Job files and folders of them, such as examples/paper.' }) };
  static override flags = {
    data: Flags.string({
      multiple: true,
      helpValue: 'NAME=PATH',
      description: 'Where a data set lies: isic2018, dsb2018 or drive. Otherwise the path in the job.',
    }),
    set: Flags.string({
      multiple: true,
      helpValue: '[NAME:]a.b=value',
      description: 'Overrides a field of all jobs, or of those of a data set, network or loss: drive:data.patches.perImage=100.',
    }),
    runs: Flags.integer({ min: 1, description: 'Trainings of each job, with seeds one apart. [default: as many as the paper averages]' }),
    out: Flags.string({ default: 'runs/paper', description: 'Folder for the runs and the tables.' }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Reproduce);
    const { preloadTensorFlow } = await import('../../trainer/engine/native.ts');
    void preloadTensorFlow();
    const { reproduce } = await import('../../trainer/reproduce.ts');
    const { aggregationTitles } = await import('../../trainer/report/paper.ts');
    const { TrainingView } = await import('../render/training.ts');
    const { table } = await import('../render/text.ts');
    const data = new Map((flags.data ?? []).map(splitPair));
    const json = this.jsonEnabled();
    const view = new TrainingView({ json, program });
    try {
      const events = reproduce({ ...flags, jobs: argv as string[], data, settings: flags.set ?? [], signal: stopSignal() });
      for await (const event of events) {
        if (json) process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
        else if (event.event === 'cell') {
          this.log(`[${event.number}/${event.of}] ${event.name}: ${event.message ? `failed, ${event.message}` : event.status}`);
        } else if (event.event === 'tables') {
          for (const { table: name, aggregation, columns, rows } of event.tables) {
            this.log(`\nTable ${name}, ${aggregationTitles[aggregation]}\n${table(columns, rows)}`);
          }
          this.log(`${event.note}\ntables: ${event.files.join(', ')}`);
        } else if (event.event !== 'done') view.show(event);
      }
    } finally {
      view.close();
    }
  }
}

function splitPair(pair: string): [string, string] {
  const equals = pair.indexOf('=');
  if (equals < 1) throw new SegfleetError('usage', `--data ${pair}: name=path is expected, for example --data isic2018=../data/isic2018`);
  return [pair.slice(0, equals), pair.slice(equals + 1)];
}
