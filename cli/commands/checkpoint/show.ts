import { BaseCommand, checkpointUrl, checkpointWhich } from '../../base.ts';

export default class CheckpointShow extends BaseCommand {
  static override summary = 'Show one checkpoint: where the run stood, and its chunks.';
  static override examples = ['<%= config.bin %> checkpoint show s3://bucket/runs/skin 400'];
  static override args = { url: checkpointUrl, which: checkpointWhich };

  async run() {
    const { args } = await this.parse(CheckpointShow);
    const { showCheckpoint } = await import('../../../trainer/storage/inspectCheckpoints.ts');
    const { megabytes } = await import('../../render/checkpoints.ts');
    const { number, table } = await import('../../render/text.ts');
    const shown = await showCheckpoint(args.url, args.which);
    const { run, term, step, score, written, position, chunks } = shown.manifest;
    this.log(`${shown.url}/${shown.key}`);
    this.log(`run ${run}, writer ${term}, step ${step}, score ${number(score)}, written ${written}`);
    this.log(`position ${JSON.stringify(position)}`);
    this.log(
      table(
        ['chunk', 'size', 'tensors'],
        chunks.map(({ sha256, bytes, tensors }) => [sha256, megabytes(bytes), String(tensors.length)]),
      ),
    );
    return shown;
  }
}
