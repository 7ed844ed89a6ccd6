import { BaseCommand, setFlag } from '../../base.ts';
import { sweepArgument, sweepOutFlag } from '../../sweep.ts';

export default class SweepPlan extends BaseCommand {
  static override summary = 'Say what a sweep comes to: trials, runs, what is there already, time and bytes. Nothing is run.';
  static override description =
    'Checks the sweep as `sweep run` does: every trial that can be told in advance must be a job that is valid. Exit codes: 2 where one is not, 3 and 4 where the data are not sound or not there.';
  static override examples = ['<%= config.bin %> sweep plan sweep.yaml', '<%= config.bin %> sweep plan sweep.yaml --json'];
  static override args = { sweep: sweepArgument };
  static override flags = { set: setFlag, out: sweepOutFlag };

  async run() {
    const { args, flags } = await this.parse(SweepPlan);
    const { sweepAt } = await import('../../../trainer/sweep/openSweep.ts');
    const { planSweep } = await import('../../../trainer/sweep/plan.ts');
    const { planText } = await import('../../render/sweep.ts');
    const plan = await planSweep(sweepAt(args.sweep, flags.set, flags.out));
    this.log(planText(plan, args.sweep));
    return plan;
  }
}
