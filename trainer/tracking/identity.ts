/**
 * What a run is called wherever it is watched.
 */
import { basename } from 'node:path';
import { describeLoss } from '../losses/catalogue.ts';
import type { Job } from '../spec.ts';
import type { Identity } from './runMetrics.ts';
import { sweepLabel, trialLabel } from './trialLabels.ts';

export function identityOf({ metadata, spec }: Job): Identity {
  return {
    run: metadata.name,
    loss: describeLoss(spec.loss),
    model: spec.model.name,
    dataset: basename(spec.data.path),
    sweep: metadata.labels?.[sweepLabel] ?? '',
    trial: metadata.labels?.[trialLabel] ?? '',
  };
}
