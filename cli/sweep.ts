/**
 * What the commands of sweeps share.
 */
import { Args, Flags } from '@oclif/core';

export const sweepArgument = Args.string({ required: true, description: 'The sweep file; or the folder of a sweep that was begun.' });
export const sweepFolderArgument = Args.string({
  required: true,
  description: 'The folder of the sweep, or its name where that is below runs/.',
});
export const sweepOutFlag = Flags.string({ description: 'The folder of the sweep. [default: runs/<name of the sweep>]' });

export const exitCodesOfSweeps =
  'Exit codes: 9 where runs failed (the others go on; they are listed at the end) or a limit ended it, 2 where the file or a trial is not valid, 11 where the disk is full (then run it again), 75 where it was stopped by SIGTERM or `sweep stop`, 130 by Ctrl-C.';
