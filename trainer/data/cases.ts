/**
 * Which images and masks a data set has, found without opening them. A case is one image with its mask.
 */
import { existsSync, readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, relative, resolve } from 'node:path';
import { parse } from 'csv-parse/sync';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { indexKey, isSharded, memberName, openShards, type Role } from './shardIndex.ts';

export const parts = ['training', 'validation', 'test'] as const;
/** The part of a data set that its makers put a case into. */
export type Part = (typeof parts)[number];

export interface Case {
  readonly id: string;
  readonly image: string;
  /** Missing where none is needed (prediction) or published (official test parts). */
  readonly mask?: string;
  /** Mask of the field of view, where the data set has one: scores are taken inside it. */
  readonly fov?: string;
  readonly part?: Part;
  /** Cases of one group (two eyes of one person) belong on one side of a split. */
  readonly group?: string;
}

export interface LabelledCase extends Case {
  readonly mask: string;
}

export const imageExtensions = ['.png', '.jpg', '.jpeg', '.tif', '.tiff', '.gif'];

/** A mask may be named as its image, or with one of these behind. */
export const maskSuffixes = ['_segmentation', '_Segmentation', '_mask', '-mask'];

const layout = 'a folder with images/ and masks/, a CSV manifest with the columns id, image and mask, or the URL of shards';

/**
 * Cases with a mask, in the order of their ids. Where the manifest says parts, those of one part.
 *
 * @param part left out: `training` where there are several parts, so that nobody trains on an official test set by accident
 * @throws notFound, invalidData: with the file or line in the sentence
 */
export async function findCases(path: string, part?: Part): Promise<LabelledCase[]> {
  const labelled = (await findAllCases(path)).filter((found): found is LabelledCase => found.mask !== undefined);
  const there = [...new Set(labelled.map(found => found.part))];
  const wanted = part ?? (there.length > 1 ? 'training' : there[0]);
  const cases = labelled.filter(found => found.part === undefined || found.part === wanted);
  if (cases.length === 0) {
    const what = labelled.length === 0 ? 'no case with a mask' : `no case of the part ${wanted} with a mask, but of ${there.join(', ')}`;
    throw new SegfleetError('invalidData', `data.path ${path} holds ${what}`);
  }
  return cases;
}

/** The data set that a job names, whose file lies in `base`: a path, or the URL of one in shards. */
export function dataPath(base: string, path: string): string {
  if (!isSharded(path)) return resolve(base, path);
  const [scheme, place] = splitUrl(path);
  return scheme === 's3:' || isAbsolute(place) ? path : scheme + resolve(base, place);
}

/** The same data set as named in `base`, named in `folder`; an absolute path or URL stays. */
export function movedDataPath(path: string, base: string, folder: string): string {
  const [scheme, place] = isSharded(path) ? splitUrl(path) : ['', path];
  return scheme === 's3:' || isAbsolute(place) ? path : scheme + (relative(resolve(folder), resolve(base, place)) || '.');
}

const splitUrl = (url: string): [scheme: string, place: string] => [
  url.slice(0, url.indexOf(':') + 1).toLowerCase(),
  url.slice(url.indexOf(':') + 1),
];

/** All cases, of all parts, with and without mask. */
export async function findAllCases(path: string): Promise<Case[]> {
  const cases = isSharded(path) ? await casesOfShards(path) : await casesOfFiles(path);
  if (cases.length === 0) throw new SegfleetError('invalidData', `data.path ${path} holds no image; give ${layout}`);
  return cases.sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function casesOfFiles(path: string): Promise<Case[]> {
  const found = await stat(path).catch(error => {
    throw fromSystemError(error, `data.path ${path}`);
  });
  const manifest = found.isDirectory() ? join(path, 'manifest.csv') : path;
  if (!found.isDirectory() && extname(path).toLowerCase() !== '.csv') {
    throw new SegfleetError('usage', `data.path ${path} is neither a folder nor a .csv file; give ${layout}`);
  }
  return existsSync(manifest) ? casesOfManifest(manifest) : casesOfFolder(path);
}

async function casesOfShards(url: string): Promise<Case[]> {
  const { store, index } = await openShards(url);
  const found = new Map<string, Partial<Record<Role, string>> & Pick<Case, 'part' | 'group'>>();
  for (const { key, members } of index.shards) {
    for (const { id, name, role, part, group } of members) {
      const more = role === 'meta' ? { part: partOf(part, `${store.url}/${indexKey}, ${name}`), group } : {};
      found.set(id, { ...found.get(id), [role]: memberName(store.url, key, name), ...more });
    }
  }
  return [...found].map(([id, { image, mask, fov, part, group }]) => {
    if (image) return { id, image, mask, fov, part, group };
    throw new SegfleetError('invalidData', `${store.url}/${indexKey} names no image of the case ${id}; write the shards again`);
  });
}

async function casesOfManifest(file: string): Promise<Case[]> {
  let rows: { record: Record<string, string>; info: { lines: number } }[];
  try {
    rows = parse(readFileSync(file, 'utf8'), { columns: true, bom: true, info: true, skip_empty_lines: true, trim: true });
  } catch (cause) {
    throw new SegfleetError('invalidData', `${file} is not a readable CSV file: ${(cause as Error).message}`, { cause });
  }
  const folder = dirname(file);
  const known = new Set<string>();
  const listed = new Map<string, Set<string>>();
  const cases: Case[] = [];
  for (const { record, info } of rows) {
    const where = `${file}, line ${info.lines}`;
    for (const column of ['id', 'image', 'mask']) {
      if (record[column] === undefined) {
        throw new SegfleetError('invalidData', `${file} has no column ${column}; a manifest needs the columns id, image and mask`);
      }
      const mayBeEmpty = column === 'mask' && record.part;
      if (record[column] === '' && !mayBeEmpty)
        throw new SegfleetError('invalidData', `${where}: ${column} is empty; fill it in or remove the line`);
    }
    const { id } = record;
    if (known.has(id)) throw new SegfleetError('invalidData', `${where}: the id ${id} stands on an earlier line too; ids must differ`);
    known.add(id);
    const resolved = (name: string | undefined) => (name ? resolve(folder, name) : undefined);
    const files = { image: resolve(folder, record.image), mask: resolved(record.mask), fov: resolved(record.fov ?? record.fov_mask) };
    for (const path of Object.values(files)) {
      if (path && !(await exists(path, listed))) {
        throw new SegfleetError('invalidData', `${where}: ${path} is not there; mend the path or remove the line`, {
          details: { file: path },
        });
      }
    }
    const part = partOf(record.part, where);
    cases.push({ id, ...files, part, group: record.group || undefined });
  }
  return cases;
}

function partOf(name: string | undefined, where: string): Part | undefined {
  if (!name) return undefined;
  const part = parts.find(part => part === name);
  if (!part) throw new SegfleetError('invalidData', `${where}: the part is ${name}; known are ${parts.join(', ')}`);
  return part;
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
  const views = existsSync(join(folder, 'fov')) ? await imagesByStem(join(folder, 'fov')) : undefined;
  return [...images].map(([id, image]) => {
    const mask = ['', ...maskSuffixes].map(suffix => masks.get(id + suffix)).find(Boolean);
    if (!mask) {
      throw new SegfleetError(
        'invalidData',
        `${image} has no mask: ${join(folder, 'masks')} holds no file ${id}.png (nor ${id}_mask or ${id}_segmentation); add it or remove the image`,
        { details: { file: image } },
      );
    }
    return { id, image, mask, fov: views?.get(id) };
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
