/**
 * Distance maps of a batch, for losses that ask how far a pixel is from the boundary of its class.
 */
import { signedDistance } from '../metrics/distance.ts';
import type { Batch, ImageShape } from './batch.ts';

/** @returns [count, height, width, classes], in pixels, negative inside the class */
export function distancesOf({ count, labels }: Batch, { height, width }: ImageShape, classes: number, exclusive: boolean): Float32Array {
  const pixels = height * width;
  const distances = new Float32Array(count * pixels * classes);
  for (let n = 0; n < count; n++) {
    const ofImage = labels.subarray(n * pixels, (n + 1) * pixels);
    for (let c = 0; c < classes; c++) {
      const label = exclusive ? c : c + 1;
      const map = signedDistance(
        ofImage.map(value => (value === label ? 1 : 0)),
        { height, width },
      );
      for (let pixel = 0; pixel < pixels; pixel++) distances[(n * pixels + pixel) * classes + c] = map[pixel];
    }
  }
  return distances;
}
