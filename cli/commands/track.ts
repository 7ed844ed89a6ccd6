import { Args } from '@oclif/core';
import { BaseCommand } from '../base.ts';
import { mlflowFlag } from '../tracking.ts';

export default class Track extends BaseCommand {
  static override summary = 'Tell a tracking server what a run or a sweep left in its folder, or what of it the server does not have yet.';
  static override description =
    `For runs that went on while the server could not be reached, for runs of before, and for sweeps: of those all runs that have ended, in an experiment of the name of the sweep. Each value is there once, however often this is done.

MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, are used where they are set, and MLFLOW_EXPERIMENT_NAME. Exit codes: 6 where the server does not answer, 5 where it refuses the credentials, 7 while the run goes on.`;
  static override examples = [
    '<%= config.bin %> track runs/small --mlflow http://127.0.0.1:5000',
    '<%= config.bin %> track runs/gamma-search --mlflow http://127.0.0.1:5000',
  ];
  static override args = { folder: Args.string({ required: true, description: 'Of a run, or of a sweep.' }) };
  static override flags = { mlflow: mlflowFlag };

  async run() {
    const { args, flags } = await this.parse(Track);
    const { track } = await import('../../trainer/track.ts');
    const told = await track(args.folder, flags);
    const { values, runs, url } = told;
    this.log(`${values} values of ${runs.length === 1 ? 'a run' : `${runs.length} runs`} told to ${url}`);
    return told;
  }
}
