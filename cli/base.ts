/**
 * What all commands share: `--json`, and errors that reach `main` as they are.
 */
import { Args, Command, Flags } from '@oclif/core';

export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true;

  /** `main` reports errors, in text and in JSON alike. */
  protected override async catch(error: unknown): Promise<never> {
    throw error;
  }
}

export const setFlag = Flags.string({
  multiple: true,
  helpValue: 'a.b=value',
  description: 'Overrides a field of the job file, named by its path below `spec`. May be given more than once.',
});

/** How the values of masks are read. */
export const classesFlags = {
  classes: Flags.integer({
    default: 1,
    min: 1,
    max: 255,
    description: 'data.classes of the job: with 1, masks are binary; with more, values are labels.',
  }),
  exclusive: Flags.boolean({ description: 'data.exclusive of the job: each pixel has exactly one class, class 0 the background.' }),
};

export const checkpointUrl = Args.string({
  required: true,
  description: 'Where the checkpoints lie: file:FOLDER or s3://BUCKET/PREFIX.',
});
export const checkpointWhich = Args.string({ description: 'Its step, or its name as listed. [default: the newest]' });

/** How this program is called again, for next-command hints: inside a checkout, and under npm, `npx` finds it. */
export const program = process.env.npm_execpath || import.meta.url.endsWith('.ts') ? 'npx segfleet' : 'segfleet';
