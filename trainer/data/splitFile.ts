/**
 * A split that is written down: which cases, or which patches, are for training and which for validation, by which rule and of which
 * data, with a checksum over all of it, so that a file that was edited is not taken for what the rule gave.
 */
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { generator } from '../random.ts';
import { writeAtomically } from '../storage/files.ts';
import { findCases, type LabelledCase } from './cases.ts';
import { decodeMaskValues } from './decode.ts';
import { caseDigest, dataDigest } from './digest.ts';
import { type Inspection, inspectCases } from './inspect.ts';
import { type Split, splitCases } from './split.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const schema = z.strictObject({
  schema: z.literal('segfleet/split/1'),
  by: z.enum(['image', 'patch']),
  /** By patch, parts of one image lie on both sides: validation then sees what training saw. */
  leaking: z.boolean(),
  stratified: z.boolean(),
  share: z.number(),
  seed: z.int(),
  /** Side of the patches in pixels, where the split is by patch. */
  patch: z.int().optional(),
  data: z.strictObject({ cases: z.int(), digest: sha256 }),
  /** Ids; by patch "id@top,left". Ascending. */
  training: z.array(z.string()).min(1),
  validation: z.array(z.string()).min(1),
  sha256,
});

export type SplitFile = z.infer<typeof schema>;

export interface SplitOptions {
  /** Of the cases or patches, held out for validation. */
  readonly share: number;
  readonly seed: number;
  readonly by: 'image' | 'patch';
  /** Whether small and large masks are held out in the same proportion. */
  readonly stratify: boolean;
  readonly patch: number;
  /** Mask value of pixels that do not count. */
  readonly ignore?: number;
}

/** One thing that goes to one side as a whole. */
interface Unit {
  readonly entries: readonly string[];
  /** Share of foreground. */
  readonly area: number;
}

/** Splits the labelled cases of a data set and writes the file. @throws invalidData: a file that cannot be read, by name */
export async function writeSplit(path: string, file: string, options: SplitOptions): Promise<SplitFile> {
  const cases = await findCases(path);
  const inspections = await inspectCases(cases, { classes: 2 ** 16, exclusive: false, ignore: options.ignore, onePiece: false });
  for (const { findings } of inspections) {
    const error = findings.find(({ severity }) => severity === 'error');
    if (error)
      throw new SegfleetError('invalidData', `${error.sentence}; mend it before the set is split`, { details: { file: error.file } });
  }
  const units = options.by === 'image' ? wholeUnits(inspections) : await patchUnits(cases, options);
  const { training, validation } = drawSplit(units, options);
  const split = sign({
    schema: 'segfleet/split/1',
    by: options.by,
    leaking: options.by === 'patch',
    stratified: options.stratify,
    share: options.share,
    seed: options.seed,
    ...(options.by === 'patch' && { patch: options.patch }),
    data: { cases: cases.length, digest: digestOf(inspections) },
    training,
    validation,
  });
  await writeAtomically(file, `${JSON.stringify(split, null, 2)}\n`);
  return split;
}

const digestOf = (inspections: readonly Inspection[]) =>
  dataDigest(
    inspections.map(({ found, image, mask, fov }) => ({ id: found.id, digest: caseDigest(image!.sha256, mask!.sha256, fov?.sha256) })),
  );

/** Cases of one group, and those whose images are the same bytes, stay together. */
function wholeUnits(inspections: readonly Inspection[]): Unit[] {
  const units = new Map<string, { entries: string[]; areas: number[] }>();
  const unitOfImage = new Map<string, string>();
  for (const { found, image, mask } of inspections) {
    const own = found.group !== undefined ? `group ${found.group}` : `case ${found.id}`;
    const known = unitOfImage.get(image!.sha256);
    const key = found.group !== undefined ? own : (known ?? own);
    unitOfImage.set(image!.sha256, known ?? key);
    const unit = units.get(key) ?? { entries: [], areas: [] };
    unit.entries.push(found.id);
    unit.areas.push(mask!.foreground);
    units.set(key, unit);
  }
  return [...units.values()].map(({ entries, areas }) => ({ entries, area: areas.reduce((a, b) => a + b, 0) / areas.length }));
}

/** Patches side by side; what is left at the right and the bottom is no whole patch and is given up. */
async function patchUnits(cases: readonly LabelledCase[], { patch: side, ignore }: SplitOptions): Promise<Unit[]> {
  const units: Unit[] = [];
  for (const { id, mask } of cases) {
    const { values, height, width } = await decodeMaskValues(mask);
    for (let top = 0; top + side <= height; top += side) {
      for (let left = 0; left + side <= width; left += side) {
        let foreground = 0;
        for (let y = top; y < top + side; y++) {
          for (let x = left; x < left + side; x++) {
            const value = values[y * width + x];
            if (value > 0 && value !== ignore) foreground++;
          }
        }
        units.push({ entries: [`${id}@${top},${left}`], area: foreground / side ** 2 });
      }
    }
  }
  if (units.length > 0) return units;
  throw new SegfleetError('usage', `no image of the set is as large as a patch of ${side}x${side}; give a smaller --patch`);
}

/**
 * Lays the units in a row, by area where stratified and by chance otherwise, cuts the row into as many equal blocks as are to be held
 * out, and holds out one of each block by chance.
 */
export function drawSplit(
  units: readonly Unit[],
  { share, seed, stratify }: Pick<SplitOptions, 'share' | 'seed' | 'stratify'>,
): { training: string[]; validation: string[] } {
  if (units.length < 2) {
    throw new SegfleetError('invalidData', `the data set has ${units.length} case or group; at least 2 are needed, one for each side`);
  }
  const next = generator(seed, 'splitFile');
  const shuffled = units.map(unit => ({ unit, chance: next() })).sort((a, b) => a.chance - b.chance);
  const row = (stratify ? shuffled.sort((a, b) => a.unit.area - b.unit.area) : shuffled).map(({ unit }) => unit);
  const numHeldOut = Math.min(Math.max(Math.round(row.length * share), 1), row.length - 1);
  const heldOut = new Set<Unit>();
  for (let block = 0; block < numHeldOut; block++) {
    const start = Math.floor((block * row.length) / numHeldOut);
    const end = Math.floor(((block + 1) * row.length) / numHeldOut);
    heldOut.add(row[start + Math.floor((next() / 2 ** 32) * (end - start))]);
  }
  const named = (held: boolean) =>
    units
      .filter(unit => heldOut.has(unit) === held)
      .flatMap(({ entries }) => entries)
      .sort();
  return { training: named(false), validation: named(true) };
}

const sign = (split: Omit<SplitFile, 'sha256'>): SplitFile => ({ ...split, sha256: signatureOf(split) });

/** Over the JSON with its keys in alphabetical order and no spaces. */
function signatureOf(split: Omit<SplitFile, 'sha256'>): string {
  const canonical = (value: unknown): unknown =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, inner]) => [key, canonical(inner)]),
        )
      : value;
  return hash('sha256', JSON.stringify(canonical(split)));
}

/** @throws notFound; invalidData: no split file; integrity: one that was changed after it was written */
export async function readSplit(file: string): Promise<SplitFile> {
  const text = await readFile(file, 'utf8').catch(error => {
    throw fromSystemError(error, file);
  });
  let split: SplitFile;
  try {
    split = schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new SegfleetError('invalidData', `${file} is not a split file; dataset split writes one`, { cause });
  }
  const { sha256: signature, ...signed } = split;
  if (signatureOf(signed) !== signature) {
    throw new SegfleetError(
      'integrity',
      `${file} was changed after it was written; write it again with dataset split, by another rule or seed if need be`,
    );
  }
  return split;
}

/**
 * The split that a job asks for: drawn from its seed, or from a file.
 *
 * @param base folder that the path of the file is relative to
 */
export async function splitOf(
  { validation: share, test, seed, file }: { validation: number; test: number; seed: number; file?: string },
  cases: readonly LabelledCase[],
  base: string,
): Promise<Split & { readonly data?: string }> {
  if (file === undefined) {
    return splitCases(
      cases.map(({ id }) => id),
      { share, test, seed },
    );
  }
  const split = await readSplit(resolve(base, file));
  return { ...casesOfSplit(split, cases), test: [], digest: split.sha256, data: split.data.digest };
}

/**
 * The cases of a split by image, by their places in `cases`.
 *
 * @throws usage: a split by patch; invalidData: a case on neither side, or one that is not there
 */
export function casesOfSplit(split: SplitFile, cases: readonly LabelledCase[]): { training: number[]; validation: number[] } {
  if (split.by !== 'image')
    throw new SegfleetError('usage', 'the split is by patch; a split by image is needed (dataset split --by image)');
  const places = new Map(cases.map(({ id }, index) => [id, index]));
  const indices = (ids: readonly string[]) =>
    ids.map(id => {
      const index = places.get(id);
      if (index === undefined) throw new SegfleetError('invalidData', `the split names the case ${id}, which the data set does not have`);
      places.delete(id);
      return index;
    });
  const sides = { training: indices(split.training), validation: indices(split.validation) };
  const [left] = places.keys();
  if (left !== undefined) {
    throw new SegfleetError(
      'invalidData',
      `the case ${left} is on neither side of the split, nor are ${places.size - 1} more; write the split again`,
    );
  }
  return sides;
}
