/**
 * What can be said about one case by itself: whether its files are sound and fit each other, and the numbers that checks and statistics
 * of the whole set are made of. Files are decoded whole, at their own size.
 */

import { SegfleetError } from '../errors.ts';
import { labelComponents } from '../metrics/objects.ts';
import type { Case } from './cases.ts';
import { decodeImage, decodeMaskValues, readHeader, type Size } from './decode.ts';

export const problems = {
  unreadable: { severity: 'error', meaning: 'not an image, truncated, or of a kind that is not taken' },
  sizeMismatch: { severity: 'error', meaning: 'mask and image differ in size' },
  notBinary: { severity: 'error', meaning: 'values beyond those that the number of classes allows' },
  emptyFov: { severity: 'error', meaning: 'a field of view with nothing in it' },
  duplicateAcrossSplit: { severity: 'error', meaning: 'the same image on both sides of the split' },
  duplicate: { severity: 'warning', meaning: 'the same image twice' },
  nearDuplicateAcrossSplit: { severity: 'warning', meaning: 'nearly the same image on both sides of the split' },
  nearDuplicate: { severity: 'warning', meaning: 'nearly the same image twice' },
  emptyMask: { severity: 'warning', meaning: 'no foreground' },
  fullMask: { severity: 'warning', meaning: 'foreground only' },
  severalPieces: { severity: 'warning', meaning: 'several connected regions where the set promises one' },
} as const;

export type Problem = keyof typeof problems;

export interface Finding {
  readonly problem: Problem;
  readonly severity: 'error' | 'warning';
  readonly id: string;
  readonly file: string;
  readonly sentence: string;
}

export interface Inspection {
  readonly found: Case;
  readonly findings: readonly Finding[];
  /** Missing where the file could not be read. */
  readonly image?: Size & {
    readonly sha256: string;
    readonly format: string;
    readonly channels: number;
    /** Luminance, [thumbnailSide, thumbnailSide]. */
    readonly thumbnail: Uint8Array;
  };
  readonly mask?: Size & {
    readonly sha256: string;
    /** Pixels of each value. */
    readonly counts: ReadonlyMap<number, number>;
    /** Share of the pixels that are neither 0 nor to be ignored. */
    readonly foreground: number;
  };
  readonly fov?: { readonly sha256: string };
}

export interface InspectOptions {
  readonly classes: number;
  readonly exclusive: boolean;
  /** Mask value of pixels that do not count. */
  readonly ignore?: number;
  readonly onePiece: boolean;
}

export const thumbnailSide = 24;

export const finding = (problem: Problem, { id }: Case, file: string, sentence: string): Finding => ({
  problem,
  severity: problems[problem].severity,
  id,
  file,
  sentence: `${file}: ${sentence}`,
});

export async function inspectCase(found: Case, options: InspectOptions): Promise<Inspection> {
  const findings: Finding[] = [];
  const attempt = async <T>(file: string, read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof SegfleetError)) throw error;
      const { message } = error;
      findings.push(finding('unreadable', found, file, message.startsWith(`${file}: `) ? message.slice(file.length + 2) : message));
      return undefined;
    }
  };
  const image = await attempt(found.image, () => inspectImage(found.image));
  const mask = found.mask !== undefined ? await attempt(found.mask, () => inspectMask(found, found.mask!, options, findings)) : undefined;
  const view = found.fov !== undefined ? await attempt(found.fov, () => inspectFov(found, found.fov!, findings)) : undefined;
  for (const [file, size] of [
    [found.mask, mask],
    [found.fov, view],
  ] as const) {
    if (!image || !size || (size.height === image.height && size.width === image.width)) continue;
    const sentence = `the mask is ${size.width}x${size.height} and its image ${image.width}x${image.height} (width x height)`;
    findings.push(finding('sizeMismatch', found, file!, sentence));
  }
  return { found, findings, image, mask, fov: view };
}

async function inspectImage(file: string): Promise<Inspection['image']> {
  const { format = '', channels = 0, hasAlpha } = await readHeader(file);
  const { pixels, original, sha256 } = await decodeImage(file, { height: thumbnailSide, width: thumbnailSide }, 1);
  return { ...original, sha256, format, channels: channels - (hasAlpha ? 1 : 0), thumbnail: pixels };
}

async function inspectMask(
  found: Case,
  file: string,
  { classes, exclusive, ignore, onePiece }: InspectOptions,
  findings: Finding[],
): Promise<Inspection['mask']> {
  const { values, height, width, sha256 } = await decodeMaskValues(file);
  const counts = countValues(values);
  const nonZero = [...counts.keys()].filter(value => value !== 0 && value !== ignore);
  const foreground = nonZero.reduce((sum, value) => sum + counts.get(value)!, 0) / values.length;
  const say = (problem: Problem, sentence: string) => findings.push(finding(problem, found, file, sentence));
  const highest = exclusive ? classes - 1 : classes;
  if (classes === 1 && nonZero.length > 1) {
    say('notBinary', `besides 0 it has ${nonZero.length} values (${nonZero.slice(0, 4).join(', ')}${nonZero.length > 4 ? ', ...' : ''})`);
  }
  if (classes > 1 && nonZero.some(value => value > highest)) {
    say('notBinary', `it has the value ${Math.max(...nonZero)}; with ${classes} classes labels go from 0 to ${highest}`);
  }
  if (nonZero.length === 0) say('emptyMask', 'it has no foreground');
  else if (foreground === 1) say('fullMask', 'all of it is foreground');
  if (onePiece) {
    const pieces = countPieces(values, { height, width });
    if (pieces > 1) say('severalPieces', `it has ${pieces} connected regions, and the set promises one`);
  }
  return { height, width, sha256, counts, foreground };
}

async function inspectFov(found: Case, file: string, findings: Finding[]): Promise<Size & { readonly sha256: string }> {
  const { values, height, width, sha256 } = await decodeMaskValues(file);
  const nonZero = [...countValues(values).keys()].filter(value => value !== 0);
  if (nonZero.length === 0) findings.push(finding('emptyFov', found, file, 'nothing of the image lies in the field of view'));
  if (nonZero.length > 1)
    findings.push(finding('notBinary', found, file, `besides 0 it has ${nonZero.length} values, and a field of view has one`));
  return { height, width, sha256 };
}

/** In ascending order of the values. */
function countValues(values: Uint8Array | Uint16Array): Map<number, number> {
  const table = new Uint32Array(2 ** (8 * values.BYTES_PER_ELEMENT));
  for (let i = 0; i < values.length; i++) table[values[i]]++;
  return new Map([...table.entries()].filter(([, count]) => count > 0));
}

/** Connected regions of what is not 0; pixels that touch at a corner belong together. */
export const countPieces = (values: ArrayLike<number>, size: Size): number =>
  labelComponents(values, size).reduce((most, label) => Math.max(most, label), 0);

/** Cases at work at once. */
const numWorkers = 4;

/** In the order of the cases. */
export async function inspectCases(cases: readonly Case[], options: InspectOptions): Promise<Inspection[]> {
  const inspections: Inspection[] = [];
  const queue = cases.entries();
  const work = async () => {
    for (const [index, found] of queue) inspections[index] = await inspectCase(found, options);
  };
  await Promise.all(Array.from({ length: numWorkers }, work));
  return inspections;
}
