import { SegfleetError } from '../../../trainer/errors.ts';
import { BaseCommand, checkpointUrl } from '../../base.ts';

export default class CheckpointVerify extends BaseCommand {
  static override summary = 'Read every byte of the checkpoints of a store, and name what is damaged or missing.';
  static override description = 'Exit code 12 where some are not whole, 10 where none is.';
  static override examples = ['<%= config.bin %> checkpoint verify s3://bucket/runs/skin'];
  static override args = { url: checkpointUrl };

  async run() {
    const { args } = await this.parse(CheckpointVerify);
    const { verifyCheckpoints } = await import('../../../trainer/storage/inspectCheckpoints.ts');
    const { checkpointTable, summaryOf } = await import('../../render/checkpoints.ts');
    const { url, checkpoints } = await verifyCheckpoints(args.url);
    const numWhole = checkpoints.filter(({ problems }) => problems.length === 0).length;
    const result = { url, whole: numWhole, checkpoints: checkpoints.map(summaryOf) };
    this.log(checkpointTable(checkpoints));
    const sentence = `${url}: ${numWhole} of ${checkpoints.length} checkpoints are whole`;
    if (numWhole < checkpoints.length) throw new SegfleetError(numWhole > 0 ? 'checkFailed' : 'integrity', sentence, { details: result });
    this.log(sentence);
    return result;
  }
}
