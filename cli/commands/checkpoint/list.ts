import { BaseCommand, checkpointUrl } from '../../base.ts';

export default class CheckpointList extends BaseCommand {
  static override summary = 'List the checkpoints of a store, the newest last.';
  static override examples = ['<%= config.bin %> checkpoint list s3://bucket/runs/skin'];
  static override args = { url: checkpointUrl };

  async run() {
    const { args } = await this.parse(CheckpointList);
    const { listCheckpoints } = await import('../../../trainer/storage/inspectCheckpoints.ts');
    const { checkpointTable, summaryOf } = await import('../../render/checkpoints.ts');
    const { url, checkpoints } = await listCheckpoints(args.url);
    this.log(checkpointTable(checkpoints));
    return { url, checkpoints: checkpoints.map(summaryOf) };
  }
}
