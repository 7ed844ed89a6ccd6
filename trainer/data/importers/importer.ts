/**
 * What an importer is: a description of one official layout, which finds cases in a list of names. It reads no image and writes nothing.
 */
import { extname } from 'node:path';
import { SegfleetError } from '../../errors.ts';
import { imageExtensions, type Part } from '../cases.ts';
import { type Source, stemOf } from '../sources/source.ts';

export interface Listed {
  /** Name of the source and name within: official archives say by their own name which part they hold. */
  readonly path: string;
  readonly source: Source;
  readonly name: string;
}

/** Where the mask of a case comes from. */
export type MaskOrigin =
  /** Taken as it is. */
  | { readonly kind: 'file'; readonly file: Listed }
  /** Values of at least `from` are foreground. */
  | { readonly kind: 'threshold'; readonly file: Listed; readonly from: number }
  /** One file an instance. */
  | { readonly kind: 'union'; readonly files: readonly Listed[] }
  /** One row of run lengths an instance, see runs.ts. */
  | { readonly kind: 'runs'; readonly rows: readonly string[] };

export interface FoundCase {
  readonly id: string;
  readonly image: Listed;
  /** Missing where the set does not publish it (test parts). */
  readonly mask?: MaskOrigin;
  /** Field of view: outside of it nothing counts. */
  readonly fov?: MaskOrigin;
  readonly part?: Part;
  /** Cases that belong together (two eyes of one person) and are never split apart. */
  readonly group?: string;
}

export interface Importer {
  readonly title: string;
  /** What the sources must hold, for the sentence that says that they do not. */
  readonly layout: string;
  readonly licence: string;
  /** The set promises that each mask is one connected region. */
  readonly onePiece?: boolean;
  detect(files: readonly Listed[]): boolean;
  /** @throws invalidData: an image whose mask is missing, a mask without its image, by name */
  find(files: readonly Listed[]): Promise<FoundCase[]> | FoundCase[];
}

export const listFiles = (sources: readonly Source[]): Listed[] =>
  sources.flatMap(source => source.names.map(name => ({ path: `${stemOf(source.path)}/${name}`, source, name })));

export const describe = ({ source, name }: Listed): string => `${source.path}: ${name}`;

export interface Matched {
  readonly file: Listed;
  readonly match: RegExpExecArray;
}

/** The files whose path matches. */
export const matching = (files: readonly Listed[], pattern: RegExp): Matched[] =>
  files.flatMap(file => {
    const match = pattern.exec(file.path);
    return match ? [{ file, match }] : [];
  });

/** Matched files by what `key` says of each. @throws invalidData: two of one key */
export function byKey(matched: readonly Matched[], key: (match: RegExpExecArray) => string = match => match[1]): Map<string, Listed> {
  const found = new Map<string, Listed>();
  for (const { file, match } of matched) {
    const other = found.get(key(match));
    if (other) {
      throw new SegfleetError('invalidData', `${describe(other)} and ${describe(file)} are both ${key(match)}; keep one`, {
        details: { files: [describe(other), describe(file)] },
      });
    }
    found.set(key(match), file);
  }
  return found;
}

export const isImage = (name: string): boolean => imageExtensions.includes(extname(name).toLowerCase());

export const missingMask = (image: Listed, hint: string): SegfleetError =>
  new SegfleetError('invalidData', `${describe(image)} has no mask; ${hint}`, { details: { file: describe(image) } });

/** @throws invalidData where a mask belongs to no image: then files are missing or the wrong archives were given together */
export function refuseOrphans(masks: ReadonlyMap<string, Listed>, images: ReadonlyMap<string, unknown>, hint: string): void {
  for (const [key, file] of masks) {
    if (!images.has(key)) {
      throw new SegfleetError('invalidData', `${describe(file)} belongs to no image: ${key} is not there; ${hint}`, {
        details: { file: describe(file) },
      });
    }
  }
}
