/**
 * A job that trains in seconds, for tests.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * 8 training images of 16x16 in batches of 3 (the last of an epoch has 2), with all that makes a run depend on its past: dropout, momentum, a plateau.
 *
 * @param width more where something is to happen while it runs
 */
export const smallJob = (data: string, width = 4): string => `apiVersion: segfleet.dev/v1alpha1
kind: TrainingJob
metadata: {name: small}
spec:
  seed: 3
  data: {path: ${JSON.stringify(data)}, size: {height: 16, width: 16}, split: {validation: 0.2}}
  model: {name: unet, width: ${width}, dropout: 0.2, batchNormMomentum: 0.8}
  loss: {name: adaptiveLog}
  training:
    epochs: 3
    batch: 3
    threads: 2
    optimizer: {name: adamw, learningRate: 0.002}
    schedule: {name: plateau, patience: 1, factor: 0.5}
    clipNorm: 1
`;

/** The same, wider, in four lanes, which workers can share: batches of four. @param validation images that are held out */
export const sharedJob = (data: string, validation: number): string =>
  smallJob(data, 16).replace('batch: 3', 'batch: 4\n    lanes: 4').replace('validation: 0.2', `validation: ${validation}`);

/** A sweep of the job in job.yaml of that folder. @param spec more fields, a line each @returns the file */
export function writeSweep(folder: string, name: string, spec: string): string {
  const head = `apiVersion: segfleet.dev/v1alpha1\nkind: Sweep\nmetadata: {name: ${name}}\n`;
  return writeJob(folder, `${head}spec:\n  objective: {metric: val/jaccard}\n  base: job.yaml\n${spec}`, `${name}.yaml`);
}

/** Successive halving of three trials: they pause after their first epoch, and the best goes on. */
export const halving = `  method: asha
  parameters: {training.optimizer.learningRate: {distribution: logUniform, min: 1.0e-4, max: 1.0e-2}}
  earlyStop: {type: asha, minTime: 1, reductionFactor: 2}
  limits: {maxTrials: 3}
`;

export function writeJob(folder: string, text: string, name = 'job.yaml'): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}
