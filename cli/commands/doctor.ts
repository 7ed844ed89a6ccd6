import { SegfleetError } from '../../trainer/errors.ts';
import { BaseCommand } from '../base.ts';

export default class Doctor extends BaseCommand {
  static override summary = 'Check whether this machine can train: library, processor, GPU, versions, disk.';
  static override description = 'Exit code 12 where a check fails; each says how to mend it.';

  async run() {
    await this.parse(Doctor);
    const { runDoctor } = await import('../../trainer/doctor.ts');
    const checks = await runDoctor();
    const width = Math.max(...checks.map(({ name }) => name.length));
    for (const { name, ok, found } of checks) this.log(`${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(width)}  ${found}`);
    const failed = checks.filter(({ ok }) => !ok);
    if (failed.length > 0) {
      throw new SegfleetError(
        'checkFailed',
        `${failed.length} of ${checks.length} checks failed: ${failed.map(({ name }) => name).join(', ')}`,
        {
          details: { checks },
        },
      );
    }
    return { checks };
  }
}
