import { BaseCommand, setFlag, stopSignal } from '../../base.ts';
import { exitCodesOfSweeps, sweepArgument, sweepOutFlag } from '../../sweep.ts';
import { metricsPortFlag, tellOf, trackerFlags } from '../../tracking.ts';

export default class SweepRun extends BaseCommand {
  static override summary = 'Run a sweep on this machine: many trainings of one job, chosen by a search.';
  static override description =
    `Trials run in processes that share the processors. Started again it goes on: what is done is not done again, here or in another sweep beside it. Where another process runs the sweep already, this one looks on. With --json one event a line.

Ctrl-C and SIGTERM let the trials write checkpoints first; \`sweep pause\`, \`resume\` and \`stop\` reach a sweep from elsewhere.

${exitCodesOfSweeps}`;
  static override examples = ['<%= config.bin %> sweep run sweep.yaml', '<%= config.bin %> sweep run sweep.yaml --set training.epochs=5'];
  static override args = { sweep: sweepArgument };
  static override flags = { set: setFlag, out: sweepOutFlag, 'metrics-port': metricsPortFlag, ...trackerFlags };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SweepRun);
    const { sweepAt } = await import('../../../trainer/sweep/openSweep.ts');
    const { runSweep } = await import('../../../trainer/sweep/driver.ts');
    const { showSweep, tellMetrics } = await import('../../render/sweep.ts');
    const { SweepMetrics } = await import('../../../trainer/tracking/sweepMetrics.ts');
    const { serveMetrics } = await import('../../../trainer/tracking/serveMetrics.ts');
    const { sweep, out } = sweepAt(args.sweep, flags.set, flags.out);
    const signal = stopSignal();
    const json = this.jsonEnabled();
    const metrics = new SweepMetrics(sweep, out);
    const server = flags['metrics-port'] === undefined ? undefined : await serveMetrics(flags['metrics-port'], metrics);
    const log = (line: string) => this.log(line);
    if (server) tellMetrics(server.url, { json, log });
    try {
      await showSweep(runSweep({ sweep, out, signal, tell: tellOf(flags, out) }), { json, log, out });
    } finally {
      await metrics.close(signal);
      await server?.close();
    }
  }
}
