import type { Scores } from '../../trainer/evaluate.ts';
import { metricNames } from '../../trainer/metrics/counts.ts';
import { number, table } from './text.ts';

/** One row a metric, pooled and per image; the loss and the area under the ROC below. */
export function renderScores({ loss, pooled, perImage, auc }: Scores): string {
  const rows = metricNames.map(name => [name, number(pooled[name]), number(perImage[name])]);
  const area = Number.isFinite(auc.auc)
    ? `${number(auc.auc, 5)} ± ${auc.halfWidth.toExponential(1)}`
    : 'not defined (all pixels are of one kind)';
  return `${table(['', 'pooled', 'mean per image'], rows)}\nAUC-ROC ${area}, loss ${number(loss)}`;
}
