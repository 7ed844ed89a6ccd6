/**
 * A model card (Mitchell et al. 2019): what the weights are, what they were trained and measured on, what they are not for, and how to
 * load them. Markdown with the header that model hubs read. Everything in it is from the run's record and its evaluation.
 */
import { basename } from 'node:path';
import { stringify } from 'yaml';
import type { CaseScores, RunEvaluation } from '../evaluateRun.ts';
import { describeLoss } from '../losses/catalogue.ts';
import { aggregations, metricCatalogue } from '../metrics/catalogue.ts';
import type { StoredRun } from '../openRun.ts';
import { type ModelDescription, specToShow } from './description.ts';
import { inputName, outputName } from './onnx.ts';

export interface Card {
  readonly run: StoredRun;
  readonly evaluation: RunEvaluation;
  readonly cases: CaseScores;
  readonly description: ModelDescription;
}

/** Failures that are named. */
const numWorst = 3;

export function renderCard({ run, evaluation, cases, description }: Card): string {
  const { record, job, weights } = run;
  const { spec } = job;
  const { data, training, loss, model } = spec;
  const dataName = basename(data.path);
  const { pooled, images } = evaluation.scores;
  const parameters = [...weights.values()].reduce((sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1), 0);
  const result = (type: string, value: number) => ({ type, name: type, value: Number(value.toFixed(4)) });
  const header = {
    library_name: 'segfleet',
    pipeline_tag: 'image-segmentation',
    tags: ['segmentation', model.name, loss.name],
    metrics: ['jaccard', 'dice'],
    'model-index': [
      {
        name: description.name,
        results: [
          {
            task: { type: 'image-segmentation' },
            dataset: { name: dataName, type: dataName, split: evaluation.part },
            metrics: [result('jaccard', pooled.jaccard), result('dice', pooled.dice)],
          },
        ],
      },
    ],
  };
  const shown = evaluation.metrics.filter(({ aggregation }) => aggregation === 'pooled' || aggregation === 'perImage');
  const rows = shown.map(({ title, aggregation, value, unit, better }) => {
    const text = Number.isFinite(value) ? `${value.toFixed(4)}${unit === 'pixels' ? ' pixels' : ''}` : 'not defined';
    return `| ${title} | ${aggregations[aggregation].title} | ${text} | ${better} |`;
  });
  const conventions = [...new Set(shown.map(({ name }) => name))].map(
    name => `- ${metricCatalogue[name].title}: ${metricCatalogue[name].convention}`,
  );
  const worst = cases.ids
    .map((id, i) => ({ id, jaccard: cases.values.get('jaccard')![i] }))
    .sort((a, b) => a.jaccard - b.jaccard)
    .slice(0, numWorst)
    .map(({ id, jaccard }) => `${id} (${jaccard.toFixed(4)})`);
  const isBest = evaluation.select === 'best';
  const epoch = isBest && record.best ? `best epoch (${record.best.epoch} of ${training.epochs})` : `${evaluation.select} epoch`;
  const held =
    evaluation.part === 'test'
      ? 'Training never looked at the test images; they are from the same source as the others.'
      : `The scores are on validation images${isBest ? ': the best epoch was chosen on them, so images never looked at are likely to score lower' : ''}.`;
  return `---
${stringify(header)}---

# ${description.name}

${model.name} (${parameters.toLocaleString('en')} parameters) trained with the loss ${describeLoss(loss)}, weights of the ${epoch}.
SHA-256 of the weights: \`${run.digest}\`.

## Intended use

Segmentation of images like those it was trained on, for research. It is not a medical device and not for diagnosis. Before any use, measure it on images of your own
with known masks.

- Input: ${description.input}.
- Output: ${description.output}.

## Data

| | |
|---|---|
| data set | ${dataName}: ${record.data.cases} cases, ${record.data.training} for training, ${record.data.validation} for validation, ${record.data.test} for the test |
| digest of the split | \`${record.data.split}\` |
| digest of all images and masks | \`${record.data.digest ?? 'not recorded'}\` |
| classes | ${data.classes}${data.exclusive ? ', exclusive' : ''} |

The licence of the data set is that of its owners, and is not recorded here.

## Training

Made by segfleet ${record.versions.segfleet} with TensorFlow ${record.versions.tensorflow} and Node ${record.versions.node} on ${record.machine.cpu}, in ${record.precision}; ${record.endedAt ? `${record.status} ${record.endedAt}` : record.status}. The job, with all defaults:

\`\`\`yaml
${stringify(specToShow(job), { lineWidth: 0 })}\`\`\`

## Scores

On the ${images} ${evaluation.part} images.

| | average | value | better |
|---|---|---|---|
${rows.join('\n')}

Scored ${evaluation.convention}.

${conventions.join('\n')}

## Limits

- ${held}
- The ${evaluation.part} images segmented worst, with their Jaccard: ${worst.join(', ')}.
- One run with one seed: another seed gives other scores.
- Images from another scanner, site, stain or population may be segmented worse, and nothing in the output says so.

## How to load

After \`segfleet export RUN --format onnx\` (images and probabilities are [N, ${description.image.channels}, ${description.image.height}, ${description.image.width}] and [N, ${description.classes}, ${description.image.height}, ${description.image.width}]):

\`\`\`python
import onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
[probabilities] = session.run(["${outputName}"], {"${inputName}": images})  # float32
\`\`\`

After \`--format tfjs\`, in a browser (channels come last: [N, ${description.image.height}, ${description.image.width}, ${description.image.channels}]):

\`\`\`js
const model = await tf.loadLayersModel('model.json');
const probabilities = model.predict(images);
\`\`\`

After \`--format safetensors\`, the weights alone, by name (kernels are [height, width, channels in, channels out], those of transposed convolutions [height, width, channels out, channels in]):

\`\`\`python
from safetensors.numpy import load_file
weights = load_file("model.safetensors")
\`\`\`
`;
}
