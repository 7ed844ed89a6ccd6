/**
 * The decoded cases of a run, kept in memory as bytes. Each file is read once: when a batch first needs it, or by the filling
 * that goes on beside training, whichever comes first.
 */
import { createHash } from 'node:crypto';
import { SegfleetError } from '../errors.ts';
import type { Batch, ImageShape } from './batch.ts';
import type { LabelledCase } from './cases.ts';
import { decodeImage, decodeMask, type LabelRules, type Size } from './decode.ts';

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

  constructor(cases: readonly LabelledCase[], shape: ImageShape, rules: LabelRules) {
    this.cases = cases;
    this.#shape = shape;
    this.#rules = rules;
  }

  get(index: number): Promise<DecodedCase> {
    let decoded = this.#decoded[index];
    if (!decoded) {
      decoded = this.#decode(this.cases[index]);
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
    if (!hasForeground) {
      throw new SegfleetError(
        'invalidData',
        `all ${this.cases.length} masks are background only, so there is nothing to learn; check that data.path names the right masks`,
      );
    }
  }

  /** SHA-256 over the bytes of all images and masks; waits until all are decoded. */
  async digest(): Promise<string> {
    const hash = createHash('sha256');
    for (const index of this.cases.keys()) {
      const { id, digest } = await this.get(index);
      hash.update(`${JSON.stringify(id)} ${digest}\n`);
    }
    return hash.digest('hex');
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

  async #decode({ id, image, mask }: LabelledCase): Promise<DecodedCase> {
    const picture = await decodeImage(image, this.#shape, this.#shape.channels);
    const labels = await decodeMask(mask, picture.original, this.#shape, this.#rules);
    return { id, image: picture.pixels, labels: labels.pixels, original: picture.original, digest: `${picture.sha256} ${labels.sha256}` };
  }
}
