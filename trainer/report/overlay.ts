/**
 * A picture of where prediction and truth agree and differ: the image beside the same image with hits, false alarms and misses tinted.
 */
import sharp from 'sharp';
import { type ImageShape, ignoredLabel } from '../data/batch.ts';

/** Okabe and Ito's palette: told apart by the colour-blind too. */
const tints = { hit: [0, 158, 115], falseAlarm: [213, 94, 0], miss: [86, 180, 233] } as const;
export const overlayLegend = 'green: hit, orange: false alarm, blue: miss';

/** Small images are enlarged to at least this width. */
const targetWidth = 384;

/**
 * @param pixels [height, width, channels]
 * @param predicted label of each pixel, 0 for none
 * @param truth the same
 * @returns a PNG file, the image on the left and tinted on the right
 */
export async function renderOverlay(
  pixels: Uint8Array,
  predicted: Uint8Array,
  truth: Uint8Array,
  { height, width, channels }: ImageShape,
): Promise<Uint8Array> {
  const out = new Uint8Array(height * width * 2 * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const tint = tintOf(predicted[i], truth[i]);
      for (let c = 0; c < 3; c++) {
        const value = pixels[i * channels + (channels === 3 ? c : 0)];
        const left = (y * width * 2 + x) * 3 + c;
        out[left] = value;
        out[left + width * 3] = tint ? Math.round(0.45 * value + 0.55 * tint[c]) : value;
      }
    }
  }
  const scale = Math.max(1, Math.round(targetWidth / width));
  return sharp(out, { raw: { width: width * 2, height, channels: 3 } })
    .resize(width * 2 * scale, height * scale, { kernel: 'nearest' })
    .png()
    .toBuffer();
}

export interface AgreementPicture {
  /** WebP. */
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Stripes are so many pixels apart. */
const period = 6;

/**
 * The image alone, or tinted where prediction and truth agree and differ, small enough for a page. Not by colour alone: hits are even, false
 * alarms have stripes that rise to the right, misses stripes that fall.
 *
 * @param pixels [height, width, channels]
 * @param labels of prediction and truth; pixels of `ignoredLabel` in truth stay as they are
 */
export async function renderAgreement(
  pixels: Uint8Array,
  { height, width, channels }: ImageShape,
  labels?: { readonly predicted: Uint8Array; readonly truth: Uint8Array },
): Promise<AgreementPicture> {
  const scale = agreementWidth / width;
  const [outWidth, outHeight] = [agreementWidth, Math.max(1, Math.round(height * scale))];
  const { data: out } = await sharp(pixels, { raw: { width, height, channels: channels as 1 | 3 } })
    .toColourspace('srgb')
    .resize(outWidth, outHeight, { kernel: scale > 1 ? 'nearest' : 'lanczos3', fit: 'fill' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  if (labels) {
    for (let y = 0; y < outHeight; y++) {
      for (let x = 0; x < outWidth; x++) {
        const from = Math.min(height - 1, Math.floor(y / scale)) * width + Math.min(width - 1, Math.floor(x / scale));
        const [predicted, truth] = [labels.predicted[from], labels.truth[from]];
        const tint = truth === ignoredLabel ? undefined : tintOf(predicted, truth);
        if (!tint) continue;
        const onStripe = (tint === tints.falseAlarm ? x + y : x - y + outHeight * period) % period < period / 2;
        const share = tint === tints.hit ? 0.4 : onStripe ? 0.9 : 0.35;
        for (let c = 0; c < 3; c++) {
          const at = (y * outWidth + x) * 3 + c;
          out[at] = Math.round((1 - share) * out[at] + share * tint[c]);
        }
      }
    }
  }
  const bytes = await sharp(out, { raw: { width: outWidth, height: outHeight, channels: 3 } })
    .webp({ quality: 80 })
    .toBuffer();
  return { bytes, width: outWidth, height: outHeight };
}

const agreementWidth = 192;

function tintOf(predicted: number, truth: number): readonly number[] | undefined {
  if (predicted === truth) return truth > 0 ? tints.hit : undefined;
  return predicted > 0 ? tints.falseAlarm : tints.miss;
}

/**
 * What a threshold is moved over: the probability that a pixel belongs to anything, and whether it does, as two grey pictures of the image's own size.
 *
 * @param logits [pixels, classes]
 * @param truth label of each pixel; `ignoredLabel` becomes 128, between nothing (0) and something (255)
 * @returns PNG files; a probability p is the byte round(255 p), so that above 127 is above 0.5
 */
export async function renderProbability(
  logits: Float32Array,
  truth: Uint8Array,
  { height, width, classes, exclusive }: { height: number; width: number; classes: number; exclusive: boolean },
): Promise<{ readonly probability: Uint8Array; readonly truth: Uint8Array }> {
  const probabilities = new Uint8Array(height * width);
  for (let pixel = 0; pixel < probabilities.length; pixel++) {
    const own = logits.subarray(pixel * classes, (pixel + 1) * classes);
    const highest = Math.max(...own);
    // Of exclusive classes the first is none of the others.
    const probability = exclusive
      ? 1 - Math.exp(own[0] - highest) / own.reduce((sum, logit) => sum + Math.exp(logit - highest), 0)
      : 1 / (1 + Math.exp(-highest));
    probabilities[pixel] = Math.round(255 * probability);
  }
  const shown = truth.map(label => (label === ignoredLabel ? 128 : label > 0 ? 255 : 0));
  const png = (pixels: Uint8Array) =>
    sharp(pixels, { raw: { width, height, channels: 1 } })
      .png()
      .toBuffer();
  return { probability: await png(probabilities), truth: await png(shown) };
}

/** Labels that logits [pixels, classes] decide for, as they stand in masks: 0 for none. */
export function predictedLabels(logits: Float32Array, classes: number, exclusive: boolean): Uint8Array {
  const labels = new Uint8Array(logits.length / classes);
  for (let pixel = 0; pixel < labels.length; pixel++) {
    let best = 0;
    for (let c = 1; c < classes; c++) if (logits[pixel * classes + c] > logits[pixel * classes + best]) best = c;
    labels[pixel] = exclusive ? best : logits[pixel * classes + best] > 0 ? best + 1 : 0;
  }
  return labels;
}
