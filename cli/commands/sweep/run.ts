import { BaseCommand, setFlag, stopSignal } from '../../base.ts';
import { sweepArgument, sweepOutFlag } from '../../sweep.ts';

export default class SweepRun extends BaseCommand {
  static override summary = 'Run a sweep on this machine: many trainings of one job, chosen by a search.';
  static override description =
    `Trials run in processes that share the processors. Started again it goes on: what is done is not done again, here or in another sweep of the same folder. Where another process runs the sweep already, this one looks on.

Where runs fail the others go on; the exit code is then 9. Ctrl-C and SIGTERM let the trials write checkpoints first (130, 75); \`sweep pause\`, \`resume\` and \`stop\` reach a sweep from elsewhere.`;
  static override examples = ['<%= config.bin %> sweep run sweep.yaml', '<%= config.bin %> sweep run sweep.yaml --set training.epochs=5'];
  static override args = { sweep: sweepArgument };
  static override flags = { set: setFlag, out: sweepOutFlag };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SweepRun);
    const { loadSweep } = await import('../../../trainer/sweep/sweepFile.ts');
    const { runSweep } = await import('../../../trainer/sweep/driver.ts');
    const { defaultSweepOut } = await import('../../../trainer/sweep/sweepFolder.ts');
    const { showSweep } = await import('../../render/sweep.ts');
    const sweep = loadSweep(args.sweep, flags.set);
    const out = flags.out ?? defaultSweepOut(sweep.name);
    await showSweep(runSweep({ sweep, out, signal: stopSignal() }), { json: this.jsonEnabled(), log: line => this.log(line), out });
  }
}
