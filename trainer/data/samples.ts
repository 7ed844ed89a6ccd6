/**
 * What an epoch of training is made of: every training image once, or random patches of each; augmented where the job asks for it.
 * A sample is a number, `case index * patches per image + patch`, and its bytes are a pure function of seed, epoch and that number.
 */
import { SegfleetError } from '../errors.ts';
import { type AugmentationSpec, augmentInto } from './augment.ts';
import type { Batch, ImageShape } from './batch.ts';
import { hasCentre, type PatchesSpec, patchWindow, type Window } from './patches.ts';
import { epochOrder } from './split.ts';
import type { CaseStore, DecodedCase } from './store.ts';

export interface SamplingOptions {
  readonly seed: number;
  /** What a step takes. */
  readonly image: ImageShape;
  readonly patches?: PatchesSpec;
  readonly augmentation?: AugmentationSpec;
}

export class TrainingSamples {
  readonly #store: CaseStore;
  readonly #training: readonly number[];
  readonly #options: SamplingOptions;
  readonly #perImage: number;
  readonly #checked = new Set<number>();

  /** @param training indices of the cases to train on */
  constructor(store: CaseStore, training: readonly number[], options: SamplingOptions) {
    this.#store = store;
    this.#training = training;
    this.#options = options;
    this.#perImage = options.patches?.perImage ?? 1;
  }

  get perEpoch(): number {
    return this.#training.length * this.#perImage;
  }

  /** The samples of epoch `epoch` (from 1), in order. */
  order(epoch: number): number[] {
    const { seed } = this.#options;
    return Array.from(epochOrder(this.perEpoch, seed, epoch), i => {
      const patch = i % this.#perImage;
      return this.#training[(i - patch) / this.#perImage] * this.#perImage + patch;
    });
  }

  /** Index of the case that a sample is taken from. */
  caseOf(sample: number): number {
    return Math.floor(sample / this.#perImage);
  }

  async batch(samples: readonly number[], epoch: number): Promise<Batch> {
    const { seed, augmentation } = this.#options;
    const { height, width, channels } = this.#options.image;
    const decoded = await Promise.all(samples.map(sample => this.#store.get(this.caseOf(sample))));
    const images = new Uint8Array(samples.length * height * width * channels);
    const labels = new Uint8Array(samples.length * height * width);
    for (const [place, sample] of samples.entries()) {
      const key = { seed, epoch, sample };
      augmentInto({ images, labels, place }, decoded[place], this.#window(decoded[place], key), channels, augmentation, key);
    }
    return { count: samples.length, images, labels };
  }

  #window({ id, size, fov }: DecodedCase, key: { seed: number; epoch: number; sample: number }): Window {
    const { patches } = this.#options;
    if (!patches) return { top: 0, left: 0, ...size };
    if (!patches.insideFov) return patchWindow(size, patches, key);
    const index = this.caseOf(key.sample);
    if (!fov || (!this.#checked.has(index) && !hasCentre(fov, size, patches))) {
      throw new SegfleetError(
        'invalidData',
        `data.patches.insideFov is true, and case ${id} has ${fov ? `no place for a patch of ${patches.width}x${patches.height} in its field of view` : 'no field of view'}; ${fov ? 'use smaller patches' : 'add the column fov to the manifest'}, or leave insideFov out`,
      );
    }
    this.#checked.add(index);
    return patchWindow(size, patches, key, fov);
  }
}
