/**
 * Images and their labels as the bytes that travel to a step.
 */
export interface ImageShape {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** The label of pixels that count neither in losses nor in metrics, where a job has such. */
export const ignoredLabel = 255;

export interface Batch {
  readonly count: number;
  /** [count, height, width, channels] */
  readonly images: Uint8Array;
  /** [count, height, width]; `ignoredLabel` where a pixel does not count. */
  readonly labels: Uint8Array;
}
