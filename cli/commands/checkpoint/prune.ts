import { Flags } from '@oclif/core';
import { BaseCommand, checkpointUrl } from '../../base.ts';

export default class CheckpointPrune extends BaseCommand {
  static override summary = 'Delete old checkpoints: all but the last and the best.';
  static override description =
    'The newest one that is kept is read first; where it is not whole, nothing is deleted. Chunks that a kept checkpoint shares stay.';
  static override examples = ['<%= config.bin %> checkpoint prune s3://bucket/runs/skin --last 2 --best 1 --dry-run'];
  static override args = { url: checkpointUrl };
  static override flags = {
    last: Flags.integer({ default: 3, min: 1, description: 'The newest ones that are kept.' }),
    best: Flags.integer({ default: 1, min: 0, description: 'Those with the highest score that are kept.' }),
    'dry-run': Flags.boolean({ default: false, description: 'Says what would be deleted, and deletes nothing.' }),
  };

  async run() {
    const { args, flags } = await this.parse(CheckpointPrune);
    const { pruneCheckpoints } = await import('../../../trainer/storage/inspectCheckpoints.ts');
    const { megabytes } = await import('../../render/checkpoints.ts');
    const dryRun = flags['dry-run'];
    const pruned = await pruneCheckpoints(args.url, flags, { dryRun });
    for (const key of pruned.keep) this.log(`keep    ${key}`);
    for (const key of pruned.drop) this.log(`${dryRun ? 'would delete' : 'deleted'} ${key}`);
    this.log(`${dryRun ? 'would free' : 'freed'} ${megabytes(pruned.bytes)} in ${pruned.chunks} chunks`);
    return { ...pruned, dryRun };
  }
}
