/**
 * What one can wait for a job to be.
 */
export const goals = ['complete', 'running', 'suspended', 'failed', 'deleted'] as const;
export type Goal = (typeof goals)[number];
