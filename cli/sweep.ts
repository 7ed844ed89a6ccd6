/**
 * What the commands of sweeps share.
 */
import { Args, Flags } from '@oclif/core';

export const sweepArgument = Args.string({ required: true, description: 'The sweep file.' });
export const sweepFolderArgument = Args.string({
  required: true,
  description: 'The folder of the sweep, or its name where that is below runs/.',
});
export const sweepOutFlag = Flags.string({ description: 'The folder of the sweep. [default: runs/<name of the sweep>]' });
