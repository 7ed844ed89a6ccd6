/**
 * Which images and masks a data set has, found without opening them. A case is one image with its mask.
 */
import { existsSync, readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { parse } from 'csv-parse/sync';
import { fromSystemError, SegfleetError } from '../errors.ts';

export interface Case {
  readonly id: string;
  readonly image: string;
  /** Missing only where no mask is needed (prediction). */
  readonly mask?: string;
  /** Mask of the field of view, where the data set has one: scores are taken inside it. */
  readonly fov?: string;
}

export interface LabelledCase extends Case {
  readonly mask: string;
}

export const imageExtensions = ['.png', '.jpg', '.jpeg', '.tif', '.tiff', '.gif'];

const layout = 'a folder with images/ and masks/, or a CSV manifest with the columns id, image and mask';

/** Cases in the order of their ids. @throws notFound, invalidData: with the file or line in the sentence */
export async function findCases(path: string): Promise<LabelledCase[]> {
  const found = await stat(path).catch(error => {
    throw fromSystemError(error, `data.path ${path}`);
  });
  const manifest = found.isDirectory() ? join(path, 'manifest.csv') : path;
  if (!found.isDirectory() && extname(path).toLowerCase() !== '.csv') {
    throw new SegfleetError('usage', `data.path ${path} is neither a folder nor a .csv file; give ${layout}`);
  }
  const cases = existsSync(manifest) ? await casesOfManifest(manifest) : await casesOfFolder(path);
  if (cases.length === 0) throw new SegfleetError('invalidData', `data.path ${path} holds no image; give ${layout}`);
  return cases.sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function casesOfManifest(file: string): Promise<LabelledCase[]> {
  let rows: { record: Record<string, string>; info: { lines: number } }[];
  try {
    rows = parse(readFileSync(file, 'utf8'), { columns: true, bom: true, info: true, skip_empty_lines: true, trim: true });
  } catch (cause) {
    throw new SegfleetError('invalidData', `${file} is not a readable CSV file: ${(cause as Error).message}`, { cause });
  }
  const folder = dirname(file);
  const known = new Set<string>();
  const listed = new Map<string, Set<string>>();
  const cases: LabelledCase[] = [];
  for (const { record, info } of rows) {
    const where = `${file}, line ${info.lines}`;
    for (const column of ['id', 'image', 'mask']) {
      if (record[column] === undefined) {
        throw new SegfleetError('invalidData', `${file} has no column ${column}; a manifest needs the columns id, image and mask`);
      }
      if (record[column] === '') throw new SegfleetError('invalidData', `${where}: ${column} is empty; fill it in or remove the line`);
    }
    const { id } = record;
    if (known.has(id)) throw new SegfleetError('invalidData', `${where}: the id ${id} stands on an earlier line too; ids must differ`);
    known.add(id);
    const [image, mask, fov] = [record.image, record.mask, record.fov].map(name => (name ? resolve(folder, name) : undefined));
    for (const path of [image!, mask!, ...(fov ? [fov] : [])]) {
      if (!(await exists(path, listed))) {
        throw new SegfleetError('invalidData', `${where}: ${path} is not there; mend the path or remove the line`, {
          details: { file: path },
        });
      }
    }
    cases.push({ id, image: image!, mask: mask!, ...(fov && { fov }) });
  }
  return cases;
}

/** One directory listing answers for all files in it. */
async function exists(path: string, listed: Map<string, Set<string>>): Promise<boolean> {
  const folder = dirname(path);
  let names = listed.get(folder);
  if (!names) {
    names = new Set(await readdir(folder).catch(() => []));
    listed.set(folder, names);
  }
  return names.has(basename(path));
}

async function casesOfFolder(folder: string): Promise<LabelledCase[]> {
  for (const name of ['images', 'masks']) {
    if (!existsSync(join(folder, name)))
      throw new SegfleetError('invalidData', `${folder} has no ${name}/ folder and no manifest.csv; give ${layout}`);
  }
  const images = await imagesByStem(join(folder, 'images'));
  const masks = await imagesByStem(join(folder, 'masks'));
  return [...images].map(([id, image]) => {
    const mask = ['', '_segmentation', '_Segmentation', '_mask', '-mask'].map(suffix => masks.get(id + suffix)).find(Boolean);
    if (!mask) {
      throw new SegfleetError(
        'invalidData',
        `${image} has no mask: ${join(folder, 'masks')} holds no file ${id}.png (nor ${id}_mask or ${id}_segmentation); add it or remove the image`,
        { details: { file: image } },
      );
    }
    return { id, image, mask };
  });
}

async function imagesByStem(folder: string): Promise<Map<string, string>> {
  const byStem = new Map<string, string>();
  for (const name of (await readdir(folder)).sort()) {
    const extension = extname(name);
    if (!imageExtensions.includes(extension.toLowerCase())) continue;
    const stem = basename(name, extension);
    const other = byStem.get(stem);
    if (other)
      throw new SegfleetError('invalidData', `${other} and ${join(folder, name)} have the same name but for the extension; keep one`);
    byStem.set(stem, join(folder, name));
  }
  return byStem;
}
