/**
 * `segfleet init`: a job file with a comment on each field, fitted to a data set where one is named.
 */
import { relative, resolve } from 'node:path';
import { findCases, movedDataPath } from './data/cases.ts';
import { readHeader } from './data/decode.ts';
import { isSharded } from './data/shardIndex.ts';
import { stride } from './models/catalogue.ts';

export interface InitOptions {
  readonly name: string;
  /** Folder of the job file: the path of the data set is written relative to it. */
  readonly base: string;
  readonly data?: string;
}

export async function initJob({ name, base, data }: InitOptions): Promise<string> {
  const size = data ? await fittingSize(data) : { height: 256, width: 256 };
  const path = data ? pathFrom(base, data) : 'data';
  return `# A segfleet job. Run it with: segfleet train <this file>
# Any field can be overridden: --set training.epochs=10. Commented lines show defaults.
apiVersion: segfleet.dev/v1alpha1
kind: TrainingJob
metadata:
  name: ${name}
spec:
  seed: 1                     # of initial weights, order and dropout

  data:
    # A folder with images/ and masks/ (same names), or with a manifest.csv; or a CSV file with the columns id, image, mask;
    # or the URL of shards that dataset shard wrote (s3://bucket/prefix, file:folder).
    # Relative to this file.
    path: ${JSON.stringify(path)}
    size: {height: ${size.height}, width: ${size.width}}   # images and masks are resized to this; divisible by 16
    channels: 3               # 3 colour, 1 luminance
    classes: 1                # 1: binary masks; more: mask values are labels
    # exclusive: false        # true: softmax over classes, class 0 the background
    split:
      validation: 0.2         # share held out (from 1 on: number of cases)
      # test: 0               # the same for a final test: \`evaluate --part test\`
      # seed: 0
    # patches: {height: 64, width: 64, perImage: 100}          # train on random patches, segment whole images by a sliding window
    # augmentation: {flip: {}, rotation: {degrees: 15}}        # also quarterTurn, elastic, colour

  model:
    name: unet
    width: 32                 # filters of the first level, 16 to 64
    # dropout: 0.5
    # batchNormMomentum: 0.99 # a run of some hundred steps wants 0.9

  loss:                       # \`segfleet losses\` lists them all
    name: adaptiveLog         # the paper's loss: makes small errors of another loss count more
    of: {name: dice, smooth: 1}
    gamma: 0.1
    omega: 10
    epsilon: 0.5
    # continuity: paper       # slope: without the jump of the derivative at gamma
    # pool: batch             # over what region sums run: batch, lane or image
    # classes: sum            # sum or mean over classes

  training:
    epochs: 50
    batch: 16
    optimizer: {name: adam, learningRate: 1.0e-4}   # also adamw, sgd
    # schedule: {name: constant}                    # also cosine, step, plateau
    # earlyStopping: {patience: 10}                 # epochs without a better validation Jaccard
    # clipNorm: 1.0
    # precision: float32                            # bfloat16 where the hardware has it, or auto
    # threads: 2                                    # all by default
    # lanes: 1                                      # parts of a batch that workers share; part of what the result depends on
    # wire: float32                                 # of gradients between workers; bfloat16 halves the traffic, and rounds every sum

  # workers: {replicas: 1, min: 1}                  # processes that share a step; not part of what the result depends on
  # checkpoint: {last: 2, best: 1}                  # also url: s3://bucket/prefix, everySteps: 1000
`;
}

const pathFrom = (base: string, data: string): string =>
  isSharded(data) ? movedDataPath(data, '.', base) : relative(resolve(base), resolve(data)) || '.';

/** The size of the first image, rounded to the stride of the network, at most 256 a side. */
async function fittingSize(data: string): Promise<{ height: number; width: number }> {
  const [first] = await findCases(data);
  const { height, width } = await readHeader(first.image);
  const shrink = Math.min(1, 256 / Math.max(height, width));
  const fitting = (side: number) => Math.max(stride, Math.round((side * shrink) / stride) * stride);
  return { height: fitting(height), width: fitting(width) };
}
