import { join } from 'node:path';
import { Args, Flags } from '@oclif/core';
import type { LeadEvent } from '../../coordinator/lead.ts';
import type { RunRecord } from '../../trainer/runRecord.ts';
import { BaseCommand, outFlag, program, resumeFlag, setFlag, stopSignal } from '../base.ts';
import { metricsPortFlag, trackerFlags, watchersOf } from '../tracking.ts';

export default class Train extends BaseCommand {
  static override summary = 'Train a network as a job file says.';
  static override description =
    `Writes a run folder: run.json (the record), job.yaml (the resolved job), metrics.ndjson, results.csv, steps.csv, checkpoints/, weights/{best,last}.safetensors, curves/*.svg, overlays/*.png.

With --workers, processes on this machine share each step; the result is the same, to the bit. Ctrl-C and SIGTERM stop at the next step and write a checkpoint (exit codes 130 and 75); --resume goes on from it, to the same bits, with any number of workers.

With OTEL_EXPORTER_OTLP_ENDPOINT in the environment it sends traces of its steps there.`;
  static override examples = [
    '<%= config.bin %> train job.yaml',
    '<%= config.bin %> train job.yaml --set loss.name=dice --set training.epochs=10 --out runs/dice',
    '<%= config.bin %> train job.yaml --workers 4',
    '<%= config.bin %> train job.yaml --resume',
  ];
  static override args = { job: Args.string({ required: true, description: 'The job file (`init` writes one).' }) };
  static override flags = {
    set: setFlag,
    out: outFlag,
    resume: resumeFlag,
    'metrics-port': metricsPortFlag,
    ...trackerFlags,
    workers: Flags.integer({ min: 1, description: 'Worker processes that share each step; at most training.lanes.' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Train);
    const { preloadTensorFlow } = await import('../../trainer/engine/native.ts');
    void preloadTensorFlow();
    const { readJob, defaultOut, train } = await import('../../trainer/train.ts');
    const { TrainingView } = await import('../render/training.ts');
    const loaded = readJob(args.job, flags.set ?? []);
    const { workers, resume, out = defaultOut(loaded.job) } = flags;
    const joinWith = (endpoint: string) => `${program} worker ${join(out, 'job.yaml')} --join ${endpoint} --out ${out}`;
    const view = new TrainingView({ json: this.jsonEnabled(), program, joinWith });
    const signal = stopSignal();
    const options = { ...loaded, out, resume, signal };
    const start = async () => {
      if (workers === undefined) return train(options);
      const { trainWithWorkers } = await import('../../coordinator/local.ts');
      return trainWithWorkers({ ...options, workers });
    };
    const { serveMetrics } = await import('../../trainer/tracking/serveMetrics.ts');
    const { metrics, watch } = await watchersOf(loaded.job, flags, {
      withMetrics: flags['metrics-port'] !== undefined,
      onProblem: problem => view.tellProblem(problem),
    });
    const server = metrics && (await serveMetrics(flags['metrics-port']!, metrics));
    if (server) view.tellMetrics(server.url);
    try {
      for await (const event of watch<LeadEvent, RunRecord>(await start(), signal)) view.show(event);
    } finally {
      view.close();
      await metrics?.close(signal);
      await server?.close();
    }
  }
}
