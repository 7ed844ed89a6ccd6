import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { BaseCommand, keysFlag, outFlag, program, resumeFlag, setFlag, stopSignal } from '../base.ts';

export default class CoordinatorCommand extends BaseCommand {
  static override summary = 'Lead a run whose workers are other processes, on this machine or on others.';
  static override description =
    `Writes the run folder as \`train\` does. Workers join with \`segfleet worker\`; the run begins when there are workers.replicas of the job (or workers.min for a while), and goes on whoever comes and goes.

Makes a key file for the run where there is none: copy it to the workers' machines, and to nobody else. With --resume it takes a run over, also one whose workers go on waiting for it.`;
  static override examples = [
    '<%= config.bin %> coordinator job.yaml --listen tcp://0.0.0.0:5555',
    '<%= config.bin %> coordinator job.yaml --listen tcp://0.0.0.0:5555 --resume',
  ];
  static override args = { job: Args.string({ required: true, description: 'The job file.' }) };
  static override flags = {
    set: setFlag,
    out: outFlag,
    resume: resumeFlag,
    listen: Flags.string({
      default: 'tcp://127.0.0.1:*',
      description: 'tcp://address:port, * being any free port; or ipc:///folder/name.',
    }),
    keys: keysFlag,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CoordinatorCommand);
    const { readJob, defaultOut } = await import('../../trainer/train.ts');
    const { lead } = await import('../../coordinator/lead.ts');
    const { createRunKeys, readRunKeys } = await import('../../coordinator/exchange/keys.ts');
    const { TrainingView } = await import('../render/training.ts');
    const loaded = readJob(args.job, flags.set ?? []);
    const { name } = loaded.job.metadata;
    const out = flags.out ?? defaultOut(loaded.job);
    const file = flags.keys ?? join('.', `${name}.keys.json`);
    const keys = flags.listen.startsWith('tcp:')
      ? await (existsSync(file) ? readRunKeys(file, name) : createRunKeys(file, name))
      : undefined;
    const settings = (flags.set ?? []).map(setting => ` --set '${setting}'`).join('');
    const joinWith = (endpoint: string) => {
      const address = endpoint.replace('//0.0.0.0:', `//${hostname()}:`);
      return `${program} worker ${args.job}${settings} --join ${address}${keys ? ` --keys ${file}` : ''}`;
    };
    const view = new TrainingView({ json: this.jsonEnabled(), program, joinWith });
    const signal = stopSignal();
    try {
      for await (const event of lead({ ...loaded, out, resume: flags.resume, listen: flags.listen, keys, signal })) view.show(event);
    } finally {
      view.close();
    }
  }
}
