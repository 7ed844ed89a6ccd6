/**
 * Images and their labels as the bytes that travel to a step.
 */
export interface ImageShape {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

export interface Batch {
  readonly count: number;
  /** [count, height, width, channels] */
  readonly images: Uint8Array;
  /** [count, height, width] */
  readonly labels: Uint8Array;
}
