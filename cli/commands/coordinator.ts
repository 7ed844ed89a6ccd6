import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { BaseCommand, keysFlag, outFlag, program, resumeFlag, setFlag, stopSignal } from '../base.ts';
import { leaveLastWord } from '../termination.ts';
import { trackerFlags, watchersOf } from '../tracking.ts';

export default class CoordinatorCommand extends BaseCommand {
  static override summary = 'Lead a run whose workers are other processes, on this machine or on others.';
  static override description =
    `Writes the run folder as \`train\` does. Workers join with \`segfleet worker\`; the run begins when there are workers.replicas of the job (or workers.min for a while), and goes on whoever comes and goes.

Makes a key file for the run where there is none: copy it to the workers' machines, and to nobody else. With --resume it takes a run over, also one whose workers go on waiting for it.

Where the disk of this machine may be gone when it is started again (a pod), --mirror keeps a copy of the run folder beside the checkpoints, and --continue goes on from it.`;
  static override examples = [
    '<%= config.bin %> coordinator job.yaml --listen tcp://0.0.0.0:5555',
    '<%= config.bin %> coordinator job.yaml --listen tcp://0.0.0.0:5555 --resume',
    '<%= config.bin %> coordinator job.yaml --listen tcp://0.0.0.0:5555 --continue --mirror --progress 0.0.0.0:8080',
  ];
  static override args = { job: Args.string({ required: true, description: 'The job file.' }) };
  static override flags = {
    set: setFlag,
    out: outFlag,
    resume: resumeFlag,
    continue: Flags.boolean({
      exclusive: ['resume'],
      description: 'Begin the run, or resume it where there is one: in that folder or, with --mirror, in the store.',
    }),
    mirror: Flags.boolean({
      description: 'Keep a copy of the run folder below checkpoint.url of the job, and begin with it where the folder is empty.',
    }),
    listen: Flags.string({
      default: 'tcp://127.0.0.1:*',
      description: 'tcp://address:port, * being any free port; or ipc:///folder/name.',
    }),
    progress: Flags.string({
      helpValue: 'host:port',
      description: 'Serve GET /progress (JSON), GET /metrics (for Prometheus) and GET /healthz there, over HTTP.',
    }),
    objective: Flags.string({
      helpValue: 'METRIC',
      description: 'Tell with the progress, and at the end, what each epoch shows of this metric: validation/jaccard.',
    }),
    ...trackerFlags,
    keys: keysFlag,
  };

  async run(): Promise<void> {
    // First of all: a process that is the first one of its container does not end by a signal that it does not listen for.
    const signal = stopSignal();
    const { args, flags } = await this.parse(CoordinatorCommand);
    const { readJob, defaultOut } = await import('../../trainer/train.ts');
    const { lead } = await import('../../coordinator/lead.ts');
    const { createRunKeys, readRunKeys } = await import('../../coordinator/exchange/keys.ts');
    const { advanceProgress, startProgress } = await import('../../coordinator/progress.ts');
    const { serveProgress } = await import('../../coordinator/progressServer.ts');
    const { Reports } = await import('../../coordinator/objectiveReports.ts');
    const { RunFolder } = await import('../../trainer/storage/runFolder.ts');
    const { TrainingView } = await import('../render/training.ts');
    const loaded = readJob(args.job, flags.set ?? []);
    const { name } = loaded.job.metadata;
    const out = flags.out ?? defaultOut(loaded.job);
    const file = flags.keys ?? join('.', `${name}.keys.json`);
    const { metrics, watch } = await watchersOf(loaded.job, flags, {
      withMetrics: flags.progress !== undefined,
      onProblem: problem => view.tellProblem(problem),
    });
    const keys = flags.listen.startsWith('tcp:')
      ? await (existsSync(file) ? readRunKeys(file, name) : createRunKeys(file, name))
      : undefined;
    const settings = (flags.set ?? []).map(setting => ` --set '${setting}'`).join('');
    const joinWith = (endpoint: string) => {
      const address = endpoint.replace('//0.0.0.0:', `//${hostname()}:`);
      return `${program} worker ${args.job}${settings} --join ${address}${keys ? ` --keys ${file}` : ''}`;
    };
    const view = new TrainingView({ json: this.jsonEnabled(), program, joinWith });
    const reports = flags.objective === undefined ? undefined : new Reports(new RunFolder(out), flags.objective);
    const told = () => ({ ...state.progress, ...(reports && { objective: reports.told }) });
    let state = startProgress(name, loaded.job.spec.workers.replicas);
    const progress = metrics && (await serveProgress(flags.progress!, told, metrics));
    const resume = flags.continue ? 'ifBegun' : flags.resume;
    const { listen, mirror } = flags;
    try {
      for await (const event of watch(lead({ ...loaded, out, resume, mirror, listen, keys, signal }), signal)) {
        view.show(event);
        state = advanceProgress(state, event, new Date());
        reports?.take(event);
        if (event.event !== 'done') continue;
        const { steps, bestEpoch, best, weightsDigest } = event;
        const result = { steps, bestEpoch, jaccard: best.pooled.jaccard, weightsDigest };
        leaveLastWord({ result: { ...result, ...(reports && { objective: reports.last }) } });
      }
    } catch (error) {
      state = advanceProgress(state, { event: 'failed' }, new Date());
      throw error;
    } finally {
      view.close();
      await metrics?.close(signal);
      await progress?.close();
    }
  }
}
