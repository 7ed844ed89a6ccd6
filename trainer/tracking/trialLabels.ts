/**
 * Labels of a job that is a trial, as the operator sets them: the name of its Sweep, and its number from 0.
 */
export const sweepLabel = 'segfleet.dev/sweep';
export const trialLabel = 'segfleet.dev/trial';
