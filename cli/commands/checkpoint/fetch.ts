import { Flags } from '@oclif/core';
import { BaseCommand, checkpointUrl, checkpointWhich } from '../../base.ts';

export default class CheckpointFetch extends BaseCommand {
  static override summary = 'Fetch a checkpoint as one safetensors file, every byte verified.';
  static override description = 'Without a step, the newest one that is whole. Opens in PyTorch, JAX and Keras.';
  static override examples = ['<%= config.bin %> checkpoint fetch s3://bucket/runs/skin --out skin.safetensors'];
  static override args = { url: checkpointUrl, which: checkpointWhich };
  static override flags = { out: Flags.string({ default: 'checkpoint.safetensors', description: 'The file to write.' }) };

  async run() {
    const { args, flags } = await this.parse(CheckpointFetch);
    const { fetchCheckpoint } = await import('../../../trainer/storage/inspectCheckpoints.ts');
    const { megabytes } = await import('../../render/checkpoints.ts');
    const fetched = await fetchCheckpoint(args.url, flags.out, args.which);
    for (const sentence of fetched.passedOver) this.logToStderr(`passed over: ${sentence}`);
    this.log(`step ${fetched.step}: ${fetched.tensors} tensors, ${megabytes(fetched.bytes)}: ${fetched.file}`);
    return fetched;
  }
}
