/**
 * Some images of a data set, as a set of its own: a manifest in the folder of the reproduction that names them where they lie. The same set gives the
 * same choice, whichever tables are asked for.
 */
import { dirname, relative, resolve } from 'node:path';
import { stringify } from 'csv-stringify/sync';
import { findCases } from '../data/cases.ts';
import { isSharded } from '../data/shardIndex.ts';
import { SegfleetError } from '../errors.ts';
import { permutation } from '../random.ts';
import { writeAtomically } from '../storage/files.ts';

/** @param images as many are drawn, or all where there are fewer */
export async function writeSubset(source: string, file: string, images: number): Promise<void> {
  if (isSharded(source)) {
    throw new SegfleetError(
      'usage',
      `${source} lies in shards, of which no tier draws; name a folder or a manifest with --data, or take --tier full`,
    );
  }
  const cases = await findCases(source);
  const chosen = [...permutation(cases.length, 0, 'subset').subarray(0, images)].sort((a, b) => a - b);
  const folder = dirname(resolve(file));
  const named = (path: string | undefined) => (path === undefined ? '' : relative(folder, path));
  const hasFov = cases.some(({ fov }) => fov !== undefined);
  const rows = chosen
    .map(index => cases[index])
    .map(({ id, image, mask, fov, group = '' }) => [id, named(image), named(mask), group, ...(hasFov ? [named(fov)] : [])]);
  await writeAtomically(file, stringify([['id', 'image', 'mask', 'group', ...(hasFov ? ['fov'] : [])], ...rows]));
}
