/**
 * What the Job controller makes of a pod that fails, by the table of exit codes. Which failures may be paid for, and how often, the operator decides:
 * for the Job itself there is no limit.
 */
import { errorCodes } from '../../trainer/errors.ts';
import type { Component } from '../names.ts';

/** No other pod would do better. */
export const fatalExitCodes: readonly number[] = Object.values(errorCodes)
  .filter(({ retryable }) => !retryable)
  .map(({ exitCode }) => exitCode)
  .toSorted((a, b) => a - b);

/** As many as the field holds. */
export const noLimit = 2 ** 31 - 1;

/** The first rule that fits counts; what none fits is a failure that may pass. */
export const podFailurePolicy = (component: Component) => ({
  rules: [
    { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    { action: 'Ignore', onExitCodes: { containerName: component, operator: 'In', values: [errorCodes.preempted.exitCode] } },
    { action: 'FailJob', onExitCodes: { containerName: component, operator: 'In', values: fatalExitCodes } },
  ],
});
