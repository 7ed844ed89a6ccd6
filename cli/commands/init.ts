import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { SegfleetError } from '../../trainer/errors.ts';
import { BaseCommand, program } from '../base.ts';

export default class Init extends BaseCommand {
  static override summary = 'Write a commented job file.';
  static override examples = ['<%= config.bin %> init', '<%= config.bin %> init nuclei.yaml --data ../data/nuclei'];
  static override args = { file: Args.string({ default: 'job.yaml', description: 'The file to write.' }) };
  static override flags = {
    data: Flags.string({ helpValue: 'PATH', description: 'The data set: its path and a fitting size are filled in.' }),
    force: Flags.boolean({ description: 'Replace a file that is there.' }),
  };

  async run() {
    const { args, flags } = await this.parse(Init);
    const { file } = args;
    if (existsSync(file) && !flags.force) {
      throw new SegfleetError('conflict', `${file} is there already; name another file, or replace it with --force`);
    }
    const { initJob } = await import('../../trainer/initJob.ts');
    const { writeAtomically } = await import('../../trainer/storage/files.ts');
    const name = basename(file)
      .replace(/\.ya?ml$/, '')
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '');
    await writeAtomically(file, await initJob({ name: name || 'job', base: dirname(file), data: flags.data }));
    this.log(`wrote ${file}\nnext:\n  ${program} train ${file}`);
    return { file };
  }
}
