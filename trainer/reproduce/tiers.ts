/**
 * How much of the paper's experiments is done: all of it, or small enough for a laptop. What is reduced is in one place, and is told with every number.
 */
import { SegfleetError } from '../errors.ts';

export const tierNames = ['smoke', 'reduced', 'full'] as const;
export type TierName = (typeof tierNames)[number];

export interface Reduction {
  readonly about: string;
  /** Of each data set, drawn from all of them; the split is drawn from these. */
  readonly images: Readonly<Record<string, number>>;
  /** Height and width. */
  readonly size: Readonly<Record<string, readonly [number, number]>>;
  /** Of DRIVE. Every epoch ends with a whole image at full size, so its epochs are longer and fewer. */
  readonly patches: { readonly side: number; readonly perImage: number; readonly epochs: number };
  readonly epochs: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly dropout: number;
  readonly batchNormMomentum: number;
  /** Of U-Net, which stands in for FocusNet where a table has no other network; where it has, FocusNet is left out. */
  readonly width: number;
  /** Of each cell, where the paper has more: in the searches of Tables 1 and 2, and in the others. */
  readonly runs: { readonly search: number; readonly others: number };
}

export const reductions: Readonly<Record<Exclude<TierName, 'full'>, Reduction>> = {
  smoke: {
    about: 'a few minutes a table on two cores: shows that all works, and its numbers mean nothing',
    images: { isic2018: 24, dsb2018: 24, drive: 5 },
    size: { isic2018: [32, 32], dsb2018: [32, 32] },
    patches: { side: 64, perImage: 8, epochs: 2 },
    epochs: 2,
    batch: 8,
    learningRate: 1e-3,
    dropout: 0.1,
    batchNormMomentum: 0.9,
    width: 16,
    runs: { search: 1, others: 1 },
  },
  reduced: {
    about: 'about an hour a table on two cores: orderings may be seen, the numbers are not those of the full size',
    images: { isic2018: 104, dsb2018: 104, drive: 5 },
    size: { isic2018: [48, 64], dsb2018: [64, 64] },
    patches: { side: 64, perImage: 64, epochs: 10 },
    // Enough steps for the Dice loss to come near gamma: above it ALL is the Dice loss.
    epochs: 30,
    batch: 4,
    learningRate: 1e-3,
    dropout: 0.1,
    batchNormMomentum: 0.9,
    width: 16,
    runs: { search: 2, others: 3 },
  },
};

export const reductionOf = (tier: TierName): Reduction | undefined => (tier === 'full' ? undefined : reductions[tier]);

/** As settings of the job of a cell. */
export function settingsOf(
  { size, patches, epochs, batch, learningRate, dropout, batchNormMomentum, width }: Reduction,
  { table, dataset }: { readonly table: string; readonly dataset: string },
): string[] {
  const input = size[dataset]
    ? [`data.size={height: ${size[dataset][0]}, width: ${size[dataset][1]}}`]
    : [`data.patches.height=${patches.side}`, `data.patches.width=${patches.side}`, `data.patches.perImage=${patches.perImage}`];
  return [
    ...input,
    // The counts of Table 4, 1,653 / 292 / 649, as shares of all.
    ...(table === '4' ? ['data.split={validation: 0.1126, test: 0.2502}'] : []),
    `model={name: unet, width: ${width}, dropout: ${dropout}, batchNormMomentum: ${batchNormMomentum}}`,
    `training.epochs=${size[dataset] ? epochs : patches.epochs}`,
    `training.batch=${batch}`,
    `training.optimizer.learningRate=${learningRate}`,
    'checkpoint={last: 1, best: 0}',
  ];
}

const sizes = (pair: readonly [number, number]) => pair.join('x');

/** What is not as in the paper, each a few words. */
export function changesOf({
  images,
  size,
  patches,
  epochs,
  batch,
  learningRate,
  dropout,
  batchNormMomentum,
  width,
  runs,
}: Reduction): string[] {
  const each = (texts: readonly (readonly [string, string | number])[]) => texts.map(([name, text]) => `${name} ${text}`).join(', ');
  return [
    `images: ${each(Object.entries(images))} of all`,
    `size (height x width): ${each(Object.entries(size).map(([name, pair]) => [name, sizes(pair)] as const))} instead of 256x256 or 192x256`,
    `patches of DRIVE: ${patches.perImage} an image and epoch instead of 10,000`,
    `network: U-Net of width ${width}, dropout ${dropout}, batch-norm momentum ${batchNormMomentum}; FocusNet is left out, or U-Net stands in for it where it is alone`,
    `${epochs} epochs (DRIVE: ${patches.epochs}) instead of 50`,
    `batch ${batch} instead of 16, learning rate ${learningRate} instead of 1e-4`,
    `runs of a cell: ${runs.search} in the searches, ${runs.others} elsewhere, at most as many as in the paper`,
  ];
}

export function refuseUnknownImages({ images }: Reduction, dataset: string, file: string): void {
  if (images[dataset] !== undefined) return;
  throw new SegfleetError(
    'usage',
    `${file} is of the data set ${dataset}, and tiers are of ${Object.keys(images).join(', ')}; take --tier full, and --set what is to be smaller`,
  );
}
