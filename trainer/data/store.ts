/**
 * The decoded cases of a run, kept in memory as bytes. Each file is read once: when a batch first needs it, or by the filling
 * that goes on beside training, whichever comes first.
 */
import { SegfleetError } from '../errors.ts';
import { ignoredLabel } from './batch.ts';
import type { LabelledCase } from './cases.ts';
import { decodeImage, decodeMask, type LabelRules, type Size } from './decode.ts';
import { type CachedCase, KeptCases } from './decodedCache.ts';
import { caseDigest, dataDigest } from './digest.ts';

export interface DecodedCase extends CachedCase {
  readonly id: string;
}

/** Without a size, each case keeps its own. */
export interface StoredShape extends Partial<Size> {
  readonly channels: number;
}

/** Decoders at work at once while filling. Each mostly waits for its turn in the pool of threads: two do not fill two processors. */
const numDecoders = 4;

export class CaseStore {
  readonly cases: readonly LabelledCase[];
  readonly #shape: StoredShape;
  readonly #rules: LabelRules;
  readonly #decoded: (Promise<DecodedCase> | undefined)[] = [];
  readonly #kept: KeptCases;

  /** @param keep where decoded cases are kept between runs; by default in the cache of the user, where the set is large enough */
  constructor(cases: readonly LabelledCase[], shape: StoredShape, rules: LabelRules, keep?: string) {
    this.cases = cases;
    this.#shape = shape;
    this.#rules = rules;
    const { height, width, channels } = shape;
    const { classes, exclusive, ignore } = rules;
    this.#kept = new KeptCases(cases, { height, width, channels, classes, exclusive, ignore }, keep);
  }

  get(index: number): Promise<DecodedCase> {
    let decoded = this.#decoded[index];
    if (!decoded) {
      decoded = this.#read(index);
      decoded.catch(() => {}); // whoever waits for it gets the error
      this.#decoded[index] = decoded;
    }
    return decoded;
  }

  /** Decodes all cases, those of `first` before the others. @throws the first error; also where no case has foreground */
  async fill(first: Iterable<number> = []): Promise<void> {
    const queue = new Set([...first, ...this.cases.keys()]).values();
    let hasForeground = false;
    const work = async () => {
      for (const index of queue) {
        const { labels } = await this.get(index);
        hasForeground ||= labels.some(label => label !== 0 && label !== ignoredLabel);
      }
    };
    await Promise.all(Array.from({ length: numDecoders }, work));
    await this.#kept.keep(await this.#all());
    if (!hasForeground) {
      throw new SegfleetError(
        'invalidData',
        `all ${this.cases.length} masks are background only, so there is nothing to learn; check that data.path names the right masks`,
      );
    }
  }

  /** SHA-256 over the bytes of all images and masks; waits until all are decoded. */
  async digest(): Promise<string> {
    return dataDigest(await this.#all());
  }

  /** The cases `indices`, in that order. */
  async *read(indices: Iterable<number>): AsyncGenerator<DecodedCase & { readonly index: number }> {
    for (const index of indices) yield { ...(await this.get(index)), index };
  }

  #all(): Promise<DecodedCase[]> {
    return Promise.all(this.cases.map((_, index) => this.get(index)));
  }

  async #read(index: number): Promise<DecodedCase> {
    const { id } = this.cases[index];
    const kept = await this.#kept.read(index);
    return kept ? { id, ...kept } : this.#decode(this.cases[index]);
  }

  async #decode({ id, image, mask, fov }: LabelledCase): Promise<DecodedCase> {
    const { height, width, channels } = this.#shape;
    const { pixels, original, ...picture } = await decodeImage(image, height && width ? { height, width } : undefined, channels);
    const size = { height: height ?? original.height, width: width ?? original.width };
    const labels = await decodeMask(mask, original, size, this.#rules);
    const view = fov === undefined ? undefined : await decodeMask(fov, original, size, { classes: 1, exclusive: false });
    if (view && !view.pixels.includes(1)) {
      throw new SegfleetError('invalidData', `${fov}: the field of view is empty; mend the mask, or leave it out of the manifest`, {
        details: { file: fov },
      });
    }
    const digest = caseDigest(picture.sha256, labels.sha256, view?.sha256);
    return { id, image: pixels, labels: labels.pixels, fov: view?.pixels, size, original, digest };
  }
}
