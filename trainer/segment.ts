/**
 * Whole images through a network that may see only a window at a time: the image's windows are predicted in full batches, across the
 * borders of images, and their logits blended. An image of the size of the network is one window, as it is.
 */
import type { Size } from './data/decode.ts';
import { cutWindow } from './data/patches.ts';
import { addWindow, type WeightedWindow, windowsOf } from './data/windows.ts';
import type { Program } from './program.ts';

export interface Whole {
  /** [height, width, channels] */
  readonly image: Uint8Array;
  /** [height, width]; where there are none, 0 is taken and the loss means nothing. */
  readonly labels?: Uint8Array;
  readonly size: Size;
}

export interface Segmented<T extends Whole> {
  readonly source: T;
  /** [height, width, classes] */
  readonly logits: Float32Array;
  /** Mean over the windows of the run's loss; each batch of windows is evaluated as one. */
  readonly loss: number;
}

export interface SegmentOptions {
  /** Windows predicted at once. */
  readonly batch: number;
  readonly signal?: AbortSignal;
}

interface Open<T> {
  readonly source: T;
  readonly logits: Float32Array;
  readonly numWindows: number;
  windowsDone: number;
  lossSum: number;
}

/** Yields the images in the order in which they come. */
export async function* segment<T extends Whole>(
  program: Program,
  sources: AsyncIterable<T> | Iterable<T>,
  { batch, signal }: SegmentOptions,
): AsyncGenerator<Segmented<T>> {
  const { classes, image: input } = program.options;
  let waiting: { open: Open<T>; window: WeightedWindow }[] = [];

  async function* run(): AsyncGenerator<Segmented<T>> {
    signal?.throwIfAborted();
    const windows = waiting;
    waiting = [];
    const { logits, loss } = await program.predict(cut(windows, input));
    const length = input.height * input.width * classes;
    for (const [i, { open, window }] of windows.entries()) {
      const { source } = open;
      addWindow(logits.subarray(i * length, (i + 1) * length), window, open.logits, source.size, classes);
      open.lossSum += loss;
      if (++open.windowsDone === open.numWindows) yield { source, logits: open.logits, loss: open.lossSum / open.numWindows };
    }
  }

  for await (const source of sources) {
    const windows = windowsOf(source.size, input);
    const logits = new Float32Array(source.size.height * source.size.width * classes);
    const open = { source, logits, numWindows: windows.length, windowsDone: 0, lossSum: 0 };
    for (const window of windows) {
      waiting.push({ open, window });
      if (waiting.length === batch) yield* run();
    }
  }
  if (waiting.length > 0) yield* run();
}

function cut(windows: readonly { open: { source: Whole }; window: WeightedWindow }[], input: Size & { channels: number }) {
  const pixels = input.height * input.width;
  const images = new Uint8Array(windows.length * pixels * input.channels);
  const labels = new Uint8Array(windows.length * pixels);
  for (const [i, { open, window }] of windows.entries()) {
    const { source } = open;
    cutWindow(source.image, source.size, input.channels, window, images, i * pixels * input.channels);
    if (source.labels) cutWindow(source.labels, source.size, 1, window, labels, i * pixels);
  }
  return { count: windows.length, images, labels };
}
