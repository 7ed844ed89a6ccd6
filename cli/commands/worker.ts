import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { BaseCommand, keysFlag, setFlag, stopSignal } from '../base.ts';

export default class Worker extends BaseCommand {
  static override summary = 'Join a run as one of its workers.';
  static override description = `Computes lanes of each step until the run ends. It may come and go at any time: the result stays the same.

Needs the job and the data of the run, to the byte; a worker that differs is refused. Ctrl-C and SIGTERM leave at the next step (exit code 75).`;
  static override examples = [
    '<%= config.bin %> worker job.yaml --join tcp://10.0.0.5:5555 --keys keys.json',
    '<%= config.bin %> worker job.yaml --join ipc:///dev/shm/segfleet-x1y2z3/coordinator',
  ];
  static override args = { job: Args.string({ required: true, description: 'The job file of the run.' }) };
  static override flags = {
    set: setFlag,
    join: Flags.string({ required: true, description: 'Where the coordinator listens: tcp://host:port, or ipc:///folder/name.' }),
    keys: keysFlag,
    out: Flags.string({ description: 'The run folder, where the job has no checkpoint.url. [default: runs/<name of the job>]' }),
    id: Flags.string({ description: 'Its name in the run, unlike any other. [default: host and process]' }),
    host: Flags.string({ description: 'Address at which other workers reach this one. [default: that of the way to the coordinator]' }),
    incarnation: Flags.integer({ hidden: true, min: 0, default: 0 }),
  };

  async run() {
    // First of all: a process that is the first one of its container does not end by a signal that it does not listen for.
    const signal = stopSignal();
    const { args, flags } = await this.parse(Worker);
    const { preloadTensorFlow } = await import('../../trainer/engine/native.ts');
    void preloadTensorFlow();
    const { endAtOnce } = await import('../../trainer/endAtOnce.ts');
    // Whoever started this process, and is gone, wants nothing more of it, nor of the folder that they met in.
    process.once('disconnect', () => {
      if (flags.join.startsWith('ipc://')) rmSync(dirname(flags.join.slice('ipc://'.length)), { recursive: true, force: true });
      endAtOnce(6);
    });
    process.channel?.unref();
    const { readJob, defaultOut } = await import('../../trainer/train.ts');
    const { defaultId, join } = await import('../../coordinator/join.ts');
    const { readRunKeys } = await import('../../coordinator/exchange/keys.ts');
    const { SegfleetError } = await import('../../trainer/errors.ts');
    const { job, base } = readJob(args.job, flags.set ?? []);
    const { join: coordinator, id = defaultId(), host, incarnation, out = defaultOut(job) } = flags;
    const keys = flags.keys === undefined ? undefined : await readRunKeys(flags.keys, job.metadata.name);
    this.log(`${id}: joins the run ${job.metadata.name} at ${coordinator}, and waits while nobody answers`);
    const { code, sentence } = await join({ job, base, out, coordinator, keys, id, host, incarnation, signal });
    if (code === 'left') throw new SegfleetError('preempted', `${id} ${sentence}`);
    if (code !== 'ok') throw new SegfleetError(code, sentence);
    this.log(`${id}: ${sentence}`);
    return { id, code, sentence };
  }
}
