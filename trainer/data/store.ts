/**
 * The decoded cases of a run, kept in memory as bytes. Each file is read once: when a batch first needs it, or by the filling
 * that goes on beside training, whichever comes first.
 */
import { SegfleetError } from '../errors.ts';
import type { Batch, ImageShape } from './batch.ts';
import type { LabelledCase } from './cases.ts';
import { decodeImage, decodeMask, type LabelRules, type Size } from './decode.ts';
import { KeptCases, worthCaching } from './decodedCache.ts';
import { caseDigest, dataDigest } from './digest.ts';

export interface DecodedCase {
  readonly id: string;
  readonly image: Uint8Array;
  readonly labels: Uint8Array;
  readonly original: Size;
  readonly digest: string;
}

/** Decoders at work at once while filling; a decoder mostly waits for its turn in the pool of threads, so two do not fill two processors. */
const numDecoders = 4;

export class CaseStore {
  readonly cases: readonly LabelledCase[];
  readonly #shape: ImageShape;
  readonly #rules: LabelRules;
  readonly #decoded: (Promise<DecodedCase> | undefined)[] = [];
  readonly #kept: KeptCases | undefined;

  /** @param keep where decoded cases are kept between runs; by default in the cache of the user, where the set is large enough */
  constructor(cases: readonly LabelledCase[], shape: ImageShape, rules: LabelRules, keep?: string) {
    this.cases = cases;
    this.#shape = shape;
    this.#rules = rules;
    const bytes = cases.length * shape.height * shape.width * (shape.channels + 1);
    if (keep || bytes >= worthCaching) this.#kept = new KeptCases(cases, { ...shape, ...rules }, keep);
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
        hasForeground ||= labels.some(label => label !== 0);
      }
    };
    await Promise.all(Array.from({ length: numDecoders }, work));
    await this.#kept?.keep(await Promise.all(this.cases.map((_, index) => this.get(index))));
    if (!hasForeground) {
      throw new SegfleetError(
        'invalidData',
        `all ${this.cases.length} masks are background only, so there is nothing to learn; check that data.path names the right masks`,
      );
    }
  }

  /** SHA-256 over the bytes of all images and masks; waits until all are decoded. */
  async digest(): Promise<string> {
    return dataDigest(await Promise.all(this.cases.map((_, index) => this.get(index))));
  }

  /** The cases `indices`, one behind the other. */
  async batch(indices: ArrayLike<number>): Promise<Batch> {
    const { height, width, channels } = this.#shape;
    const cases = await Promise.all(Array.from(indices, index => this.get(index)));
    const images = new Uint8Array(cases.length * height * width * channels);
    const labels = new Uint8Array(cases.length * height * width);
    cases.forEach((decoded, i) => {
      images.set(decoded.image, i * decoded.image.length);
      labels.set(decoded.labels, i * decoded.labels.length);
    });
    return { count: cases.length, images, labels };
  }

  async #read(index: number): Promise<DecodedCase> {
    const { id } = this.cases[index];
    const kept = await this.#kept?.read(index);
    return kept ? { id, ...kept } : this.#decode(this.cases[index]);
  }

  async #decode({ id, image, mask }: LabelledCase): Promise<DecodedCase> {
    const picture = await decodeImage(image, this.#shape, this.#shape.channels);
    const labels = await decodeMask(mask, picture.original, this.#shape, this.#rules);
    return {
      id,
      image: picture.pixels,
      labels: labels.pixels,
      original: picture.original,
      digest: caseDigest(picture.sha256, labels.sha256),
    };
  }
}
