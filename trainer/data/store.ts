/**
 * The decoded cases of a run, kept in memory as bytes as far as there is room. Each file is read when a batch first needs it, or by the
 * filling that goes on beside training, whichever comes first; again only where its case had to make room for others.
 */
import { SegfleetError } from '../errors.ts';
import { ignoredLabel } from './batch.ts';
import type { LabelledCase } from './cases.ts';
import { decodeImage, decodeMask, type LabelRules, type Size } from './decode.ts';
import { bytesOf, type CachedCase, KeptCases } from './decodedCache.ts';
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

export interface StoreLimits {
  /** Where decoded cases are kept between runs; by default in the cache of the user, where the set is large enough. */
  readonly keep?: string;
  /** Decoded bytes that stay in memory. @default 4 GiB */
  readonly residentBytes?: number;
}

export class CaseStore {
  readonly cases: readonly LabelledCase[];
  readonly #shape: StoredShape;
  readonly #rules: LabelRules;
  readonly #residentBytes: number;
  readonly #decoded = new Map<number, Promise<DecodedCase>>();
  /** Bytes of those that have been read, the least recently used first. */
  readonly #resident = new Map<number, number>();
  readonly #digests: string[] = [];
  readonly #kept: KeptCases;
  #bytes = 0;

  constructor(
    cases: readonly LabelledCase[],
    shape: StoredShape,
    rules: LabelRules,
    { keep, residentBytes = 4 * 2 ** 30 }: StoreLimits = {},
  ) {
    this.cases = cases;
    this.#shape = shape;
    this.#rules = rules;
    this.#residentBytes = residentBytes;
    const { height, width, channels } = shape;
    const { classes, exclusive, ignore } = rules;
    this.#kept = new KeptCases(cases, { height, width, channels, classes, exclusive, ignore }, keep);
  }

  get(index: number): Promise<DecodedCase> {
    let decoded = this.#decoded.get(index);
    if (!decoded) {
      decoded = this.#read(index).then(read => this.#admit(index, read));
      decoded.catch(() => {}); // whoever waits for it gets the error
      this.#decoded.set(index, decoded);
    }
    const bytes = this.#resident.get(index);
    if (bytes !== undefined) {
      this.#resident.delete(index);
      this.#resident.set(index, bytes);
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
    if (this.#decoded.size === this.cases.length) await this.#kept.keep(await this.#all());
    if (!hasForeground) {
      throw new SegfleetError(
        'invalidData',
        `all ${this.cases.length} masks are background only, so there is nothing to learn; check that data.path names the right masks`,
      );
    }
  }

  /** SHA-256 over the bytes of all images and masks; waits until all are decoded. */
  async digest(): Promise<string> {
    for (const index of this.cases.keys()) if (this.#digests[index] === undefined) await this.get(index);
    return dataDigest(this.cases.map(({ id }, index) => ({ id, digest: this.#digests[index] })));
  }

  /** The cases `indices`, in that order. */
  async *read(indices: Iterable<number>): AsyncGenerator<DecodedCase & { readonly index: number }> {
    for (const index of indices) yield { ...(await this.get(index)), index };
  }

  #all(): Promise<DecodedCase[]> {
    return Promise.all(this.cases.map((_, index) => this.get(index)));
  }

  /** Others go where this one finds no room. @throws integrity: it is not what was read before */
  #admit(index: number, decoded: DecodedCase): DecodedCase {
    const known = this.#digests[index];
    if (known !== undefined && known !== decoded.digest) {
      throw new SegfleetError('integrity', `case ${decoded.id} has changed since the run began; restore its files, or start a new run`);
    }
    this.#digests[index] = decoded.digest;
    const added = bytesOf([decoded]);
    this.#resident.set(index, added);
    this.#bytes += added;
    for (const [oldest, bytes] of this.#resident) {
      if (this.#bytes <= this.#residentBytes || oldest === index) break;
      this.#resident.delete(oldest);
      this.#decoded.delete(oldest);
      this.#bytes -= bytes;
    }
    return decoded;
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
