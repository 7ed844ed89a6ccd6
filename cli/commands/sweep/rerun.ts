import { Flags } from '@oclif/core';
import { BaseCommand, setFlag, stopSignal } from '../../base.ts';
import { exitCodesOfSweeps, sweepArgument, sweepOutFlag } from '../../sweep.ts';
import { tellOf, trackerFlags } from '../../tracking.ts';

export default class SweepRerun extends BaseCommand {
  static override summary = 'Run again what failed in a sweep, or what is missing.';
  static override description = exitCodesOfSweeps;
  static override examples = ['<%= config.bin %> sweep rerun runs/sweep --failed'];
  static override args = { sweep: sweepArgument };
  static override flags = {
    failed: Flags.boolean({ description: 'Runs that failed, from their start.', exactlyOne: ['failed', 'missing'] }),
    missing: Flags.boolean({ description: 'Runs that did not come to their end, or whose folders are gone; as `sweep run` does.' }),
    set: setFlag,
    out: sweepOutFlag,
    ...trackerFlags,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SweepRerun);
    const { sweepAt } = await import('../../../trainer/sweep/openSweep.ts');
    const { runSweep } = await import('../../../trainer/sweep/driver.ts');
    const { showSweep } = await import('../../render/sweep.ts');
    const { sweep, out } = sweepAt(args.sweep, flags.set, flags.out);
    const events = runSweep({ sweep, out, signal: stopSignal(), rerunFailed: flags.failed, tell: tellOf(flags, out) });
    await showSweep(events, { json: this.jsonEnabled(), log: line => this.log(line), out });
  }
}
