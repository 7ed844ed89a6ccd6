import { BaseCommand, setFlag, stopSignal } from '../../base.ts';
import { exitCodesOfSweeps, sweepArgument, sweepOutFlag } from '../../sweep.ts';

export default class SweepRun extends BaseCommand {
  static override summary = 'Run a sweep on this machine: many trainings of one job, chosen by a search.';
  static override description =
    `Trials run in processes that share the processors. Started again it goes on: what is done is not done again, here or in another sweep beside it. Where another process runs the sweep already, this one looks on. With --json one event a line.

Ctrl-C and SIGTERM let the trials write checkpoints first; \`sweep pause\`, \`resume\` and \`stop\` reach a sweep from elsewhere.

${exitCodesOfSweeps}`;
  static override examples = ['<%= config.bin %> sweep run sweep.yaml', '<%= config.bin %> sweep run sweep.yaml --set training.epochs=5'];
  static override args = { sweep: sweepArgument };
  static override flags = { set: setFlag, out: sweepOutFlag };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SweepRun);
    const { sweepAt } = await import('../../../trainer/sweep/openSweep.ts');
    const { runSweep } = await import('../../../trainer/sweep/driver.ts');
    const { showSweep } = await import('../../render/sweep.ts');
    const { sweep, out } = sweepAt(args.sweep, flags.set, flags.out);
    await showSweep(runSweep({ sweep, out, signal: stopSignal() }), { json: this.jsonEnabled(), log: line => this.log(line), out });
  }
}
