import { Args, Flags } from '@oclif/core';
import { BaseCommand, program, setFlag } from '../base.ts';

export default class Train extends BaseCommand {
  static override summary = 'Train a network as a job file says.';
  static override description =
    `Writes a run folder: run.json (the record), job.yaml (the resolved job), metrics.ndjson, results.csv, weights/{best,last}.safetensors, curves/*.svg, overlays/*.png.

Ctrl-C and SIGTERM stop at the next step and write a checkpoint (exit codes 130 and 75); --resume goes on from it, to the same bits.`;
  static override examples = [
    '<%= config.bin %> train job.yaml',
    '<%= config.bin %> train job.yaml --set loss.name=dice --set training.epochs=10 --out runs/dice',
    '<%= config.bin %> train job.yaml --resume',
  ];
  static override args = { job: Args.string({ required: true, description: 'The job file (`init` writes one).' }) };
  static override flags = {
    set: setFlag,
    out: Flags.string({ description: 'The run folder. [default: runs/<name of the job>]' }),
    resume: Flags.boolean({ description: 'Continue the run in that folder from its checkpoint.' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Train);
    const { preloadTensorFlow } = await import('../../trainer/engine/native.ts');
    void preloadTensorFlow();
    const { readJob, defaultOut, train } = await import('../../trainer/train.ts');
    const { TrainingView } = await import('../render/training.ts');
    const loaded = readJob(args.job, flags.set ?? []);
    const out = flags.out ?? defaultOut(loaded.job);
    const view = new TrainingView({ json: this.jsonEnabled(), program });
    const signal = stopSignal();
    try {
      for await (const event of train({ ...loaded, out, resume: flags.resume, signal })) view.show(event);
    } finally {
      view.close();
    }
  }
}

/** Aborts with 'preempted' at SIGTERM and 'interrupted' at Ctrl-C; a second signal ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (reason: 'preempted' | 'interrupted') => () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(reason);
  };
  process.on('SIGTERM', stop('preempted'));
  process.on('SIGINT', stop('interrupted'));
  return controller.signal;
}
