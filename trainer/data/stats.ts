/**
 * A data set in numbers: how many cases, how large, how much foreground, how the values of the masks are shared out.
 */
import { mean, median } from '../averages.ts';
import { tally } from '../tally.ts';
import { type Case, findAllCases } from './cases.ts';
import { inspectCases } from './inspect.ts';

/** Upper ends of the bins of the foreground share; the last is all. */
export const shareBins = [0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1] as const;

export interface Summary {
  readonly mean: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Statistics {
  readonly cases: number;
  readonly labelled: number;
  /** Cases that could not be read; `verify` names them. They are in no number below. */
  readonly unreadable: number;
  readonly parts: Readonly<Record<string, number>>;
  /** Most frequent first, as "width x height". */
  readonly sizes: readonly { readonly size: string; readonly count: number }[];
  readonly formats: Readonly<Record<string, number>>;
  /** Of the image files, without alpha. */
  readonly channels: Readonly<Record<string, number>>;
  /** Share of the pixels of each mask that are neither 0 nor to be ignored. */
  readonly foreground?: Summary & {
    readonly pooled: number;
    readonly histogram: readonly { readonly upTo: number; readonly count: number }[];
  };
  /** Values of the masks over all pixels: how often, and in how many masks. */
  readonly values: readonly { readonly value: number; readonly pixels: number; readonly share: number; readonly masks: number }[];
}

/** @param ignore mask value of pixels that do not count: they are no foreground */
export async function dataStatistics(path: string, { ignore }: { ignore?: number } = {}): Promise<Statistics> {
  const cases = await findAllCases(path);
  // Any label is fine here: to judge them is for verify.
  const inspections = await inspectCases(cases, { classes: 2 ** 16, exclusive: false, ignore, onePiece: false });
  const readable = inspections.filter(({ findings }) => findings.every(({ problem }) => problem !== 'unreadable'));
  const images = readable.flatMap(({ image }) => image ?? []);
  const masks = readable.flatMap(({ mask }) => mask ?? []);
  const values = new Map<number, { pixels: number; masks: number }>();
  for (const { counts } of masks) {
    for (const [value, count] of counts) {
      const { pixels, masks } = values.get(value) ?? { pixels: 0, masks: 0 };
      values.set(value, { pixels: pixels + count, masks: masks + 1 });
    }
  }
  const total = [...values.values()].reduce((sum, { pixels }) => sum + pixels, 0);
  const pixelsOf = (value: number | undefined) => (value === undefined ? 0 : (values.get(value)?.pixels ?? 0));
  const pooled = (total - pixelsOf(0) - pixelsOf(ignore)) / total;
  return {
    cases: cases.length,
    labelled: cases.filter(({ mask }) => mask).length,
    unreadable: cases.length - readable.length,
    parts: tally(cases.map(({ part }: Case) => part ?? 'none')),
    sizes: Object.entries(tally(images.map(({ width, height }) => `${width}x${height}`)))
      .map(([size, count]) => ({ size, count }))
      .sort((a, b) => b.count - a.count),
    formats: tally(images.map(({ format }) => format)),
    channels: tally(images.map(({ channels }) => String(channels))),
    foreground:
      masks.length > 0
        ? foregroundOf(
            masks.map(mask => mask.foreground),
            pooled,
          )
        : undefined,
    values: [...values].sort(([a], [b]) => a - b).map(([value, { pixels, masks }]) => ({ value, pixels, share: pixels / total, masks })),
  };
}

function foregroundOf(shares: readonly number[], pooled: number): Statistics['foreground'] {
  const histogram = shareBins.map((upTo, i) => ({
    upTo,
    count: shares.filter(share => share <= upTo && (i === 0 || share > shareBins[i - 1])).length,
  }));
  return { ...summarise(shares), pooled, histogram };
}

export function summarise(numbers: readonly number[]): Summary {
  const sorted = [...numbers].sort((a, b) => a - b);
  return {
    mean: mean(sorted),
    median: median(sorted),
    min: sorted[0],
    max: sorted.at(-1)!,
  };
}
