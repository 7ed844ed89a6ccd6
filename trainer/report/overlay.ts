/**
 * A picture of where prediction and truth agree and differ: the image beside the same image with hits, false alarms and misses tinted.
 */
import sharp from 'sharp';
import type { ImageShape } from '../data/batch.ts';

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

function tintOf(predicted: number, truth: number): readonly number[] | undefined {
  if (predicted === truth) return truth > 0 ? tints.hit : undefined;
  return predicted > 0 ? tints.falseAlarm : tints.miss;
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
