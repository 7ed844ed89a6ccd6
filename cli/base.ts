/**
 * What all commands share: `--json`, and errors that reach `main` as they are.
 */
import { Args, Command, Flags } from '@oclif/core';
import { errorCodes } from '../trainer/errors.ts';
import { leaveLastWord } from './termination.ts';

export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true;

  /** `main` reports errors, in text and in JSON alike. */
  protected override async catch(error: unknown): Promise<never> {
    throw error;
  }
}

export const selectFlag = Flags.option({
  options: ['best', 'last'] as const,
  default: 'best' as const,
  description: 'Weights of the best epoch or of the last.',
})();

export const partFlag = Flags.option({
  options: ['validation', 'test'] as const,
  default: 'validation' as const,
  description: 'Which images that the runs did not train on; test: those of data.split.test.',
})();

export const setFlag = Flags.string({
  multiple: true,
  helpValue: 'a.b=value',
  description: 'Overrides a field of the job file, named by its path below `spec`. May be given more than once.',
});

export const outFlag = Flags.string({ description: 'The run folder. [default: runs/<name of the job>]' });
export const resumeFlag = Flags.boolean({ description: 'Continue the run in that folder from its newest checkpoint.' });
export const keysFlag = Flags.string({ description: 'The key file of the run. [default of coordinator: <name of the job>.keys.json]' });

/** Of commands about data sets, as `data.ignore` of a job. */
export const ignoreFlag = Flags.integer({
  min: 1,
  max: 65_535,
  description: 'data.ignore of the job: the mask value of pixels that do not count.',
});

export const checkpointUrl = Args.string({
  required: true,
  description: 'Where the checkpoints lie: file:FOLDER or s3://BUCKET/PREFIX.',
});
export const checkpointWhich = Args.string({ description: 'Its step, or its name as listed. [default: the newest]' });

/** How this program is called again, for next-command hints: inside a checkout, and under npm, `npx` finds it. */
export const program = process.env.npm_execpath || import.meta.url.endsWith('.ts') ? 'npx segfleet' : 'segfleet';

/** Aborts with 'preempted' at SIGTERM and 'interrupted' at Ctrl-C; a second signal ends the process at once. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  // Loaded before it is needed: a signal waits for nothing.
  const ending = import('../trainer/endAtOnce.ts');
  const stop = (reason: 'preempted' | 'interrupted') => () => {
    if (controller.signal.aborted) {
      const { exitCode } = errorCodes.interrupted;
      leaveLastWord({ error: { code: 'interrupted', exitCode, message: 'ended at once by a second signal; the last checkpoint stands' } });
      void ending.then(({ endAtOnce }) => endAtOnce(exitCode));
    }
    controller.abort(reason);
  };
  process.on('SIGTERM', stop('preempted'));
  process.on('SIGINT', stop('interrupted'));
  return controller.signal;
}
