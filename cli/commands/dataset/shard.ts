import { Args, Flags } from '@oclif/core';
import { SegfleetError } from '../../../trainer/errors.ts';
import { BaseCommand } from '../../base.ts';

const units = { '': 1, KB: 1e3, MB: 1e6, GB: 1e9 };

export default class DatasetShard extends BaseCommand {
  static override summary = 'Write a data set as WebDataset shards (tar) with an index.';
  static override description =
    'Members are <id>.image.<ext>, <id>.mask.<ext>, <id>.fov.<ext> and <id>.json, in their original bytes; index.json has the place and SHA-256 of each. The same data set gives the same bytes. Python reads them with webdataset.';
  static override examples = [
    '<%= config.bin %> dataset shard data/isic2018 --out file:shards/isic2018 --size 64MB',
    '<%= config.bin %> dataset shard data/isic2018 --out s3://bucket/isic2018',
  ];
  static override args = { path: Args.string({ required: true, description: 'The data set: a folder or a manifest.' }) };
  static override flags = {
    out: Flags.string({ required: true, helpValue: 'file:FOLDER|s3://BUCKET/PREFIX', description: 'Where to write.' }),
    size: Flags.string({ default: '64MB', description: 'Of a shard at most; a number with KB, MB or GB.' }),
  };

  async run() {
    const { args, flags } = await this.parse(DatasetShard);
    const { writeShards } = await import('../../../trainer/data/shard.ts');
    const index = await writeShards(args.path, flags.out, bytesOf(flags.size));
    const bytes = index.shards.reduce((sum, shard) => sum + shard.bytes, 0);
    this.log(`${index.cases} cases in ${index.shards.length} shards, ${(bytes / 1e6).toFixed(1)} MB: ${index.url}`);
    return {
      url: index.url,
      cases: index.cases,
      data: index.data,
      shards: index.shards.map(({ key, bytes, sha256 }) => ({ key, bytes, sha256 })),
    };
  }
}

function bytesOf(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?) ?(KB|MB|GB|)$/i.exec(text) ?? [];
  const bytes = Number(number) * units[unit?.toUpperCase() as keyof typeof units];
  if (bytes >= 1024) return bytes;
  throw new SegfleetError('usage', `--size ${text}: a number of bytes with KB, MB or GB is expected, at least 1KB, such as 64MB`);
}
