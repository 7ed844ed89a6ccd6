import { Flags } from '@oclif/core';
import { BaseCommand, program, setFlag, stopSignal } from '../base.ts';

export default class Demo extends BaseCommand {
  static override summary = 'Train U-Net on real nuclei images with ALL(Dice) and with plain Dice, and compare them.';
  static override description = 'Fetches the TensorFlow library first where it is missing. Replaces an earlier demo in the same folder.';
  static override flags = {
    out: Flags.string({ default: 'runs/demo', description: 'Folder for both runs and the report.' }),
    set: setFlag,
  };

  async run() {
    const { flags } = await this.parse(Demo);
    const { ensureLibrary } = await import('../../trainer/engine/library.ts');
    await ensureLibrary(line => this.logToStderr(line));
    const { preloadTensorFlow } = await import('../../trainer/engine/native.ts');
    void preloadTensorFlow();
    const { demo } = await import('../../trainer/demo.ts');
    const { TrainingView } = await import('../render/training.ts');
    const { number, percent, table } = await import('../render/text.ts');
    const view = new TrainingView({ json: this.jsonEnabled(), program });
    const { fileURLToPath } = await import('node:url');
    const job = fileURLToPath(
      new URL(import.meta.url.endsWith('.js') ? '../../../examples/nuclei.yaml' : '../../examples/nuclei.yaml', import.meta.url),
    );
    const events = demo({ job, out: flags.out, settings: flags.set ?? [], signal: stopSignal() });
    let next = await events.next();
    try {
      for (; !next.done; next = await events.next()) if (next.value.event !== 'done') view.show(next.value);
    } finally {
      view.close();
    }
    const { arms, report } = next.value;
    const rows = arms.map(({ title, done, evaluation: { scores } }) => [
      title,
      number(scores.pooled.jaccard),
      number(scores.perImage.jaccard),
      number(scores.pooled.dice),
      number(scores.pooled.recall),
      number(scores.pooled.specificity),
      number(scores.auc.auc),
      percent(done.logShare),
    ]);
    this.log(`\nBest epoch of each on the ${arms[0].evaluation.scores.images} held-out images (pooled unless said):`);
    this.log(table(['loss', 'Jaccard', 'per image', 'Dice', 'recall', 'specificity', 'AUC', 'steps in log branch'], rows));
    this.log(`One seed each and ${arms[0].done.steps} steps: not yet a comparison of the losses.`);
    this.log(
      `\nreport: ${report} (validation-jaccard.svg, log-share.svg, overlays/*.png)\nruns:   ${arms.map(({ run }) => run).join(', ')}`,
    );
    this.log('next:');
    this.log(`  ${program} losses explain adaptiveLog`);
    this.log(`  ${program} evaluate ${arms[0].run}`);
    this.log(`  ${program} init job.yaml --data FOLDER`);
    return {
      report,
      arms: arms.map(({ title, run, done, evaluation }) => ({ title, run, logShare: done.logShare, scores: evaluation.scores })),
    };
  }
}
