/**
 * The decoded cases of a run, kept in memory as bytes. Each file is read once: when a batch first needs it, or by the filling
 * that goes on beside training, whichever comes first.
 */
import { createHash } from 'node:crypto';
import { SegfleetError } from '../errors.ts';
import type { LabelledCase } from './cases.ts';
import { decodeImage, decodeMask, type LabelRules, type Size } from './decode.ts';

export interface DecodedCase {
  readonly id: string;
  /** [height, width, channels] */
  readonly image: Uint8Array;
  /** [height, width] */
  readonly labels: Uint8Array;
  /** [height, width]: 1 in the field of view, where the data set has one. */
  readonly fov?: Uint8Array;
  /** Of these three. */
  readonly size: Size;
  /** Of the files. */
  readonly original: Size;
  readonly digest: string;
}

/** Without a size, each case keeps its own. */
export interface StoredShape extends Partial<Size> {
  readonly channels: number;
}

/** Decoders at work at once while filling: training shall keep the processors. */
const numDecoders = 2;

export class CaseStore {
  readonly cases: readonly LabelledCase[];
  readonly #shape: StoredShape;
  readonly #rules: LabelRules;
  readonly #decoded: (Promise<DecodedCase> | undefined)[] = [];

  constructor(cases: readonly LabelledCase[], shape: StoredShape, rules: LabelRules) {
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

  /** The cases `indices`, in that order. */
  async *read(indices: Iterable<number>): AsyncGenerator<DecodedCase & { readonly index: number }> {
    for (const index of indices) yield { ...(await this.get(index)), index };
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
    const digest = [picture.sha256, labels.sha256, ...(view ? [view.sha256] : [])].join(' ');
    return { id, image: pixels, labels: labels.pixels, fov: view?.pixels, size, original, digest };
  }
}
