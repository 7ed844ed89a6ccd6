/**
 * Brings an official data set into the layout that training reads: images/ in their original bytes, masks/, fov/, manifest.csv, and
 * import.json, which records where all of it came from. The folder appears when it is complete, or not at all.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { stringify } from 'csv-stringify/sync';
import sharp from 'sharp';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { partialName, removeAbandoned } from '../storage/files.ts';
import { type Case, parts } from './cases.ts';
import { decodeMaskValues, readHeader, type Size } from './decode.ts';
import { detectFormat, type Format, importers } from './importers/catalogue.ts';
import { describe, type FoundCase, type Listed, listFiles, type MaskOrigin } from './importers/importer.ts';
import { paintRuns } from './importers/runs.ts';
import { openSource, type Source } from './sources/source.ts';

export interface ImportRecord {
  readonly schema: 'segfleet/import/1';
  readonly format: Format;
  readonly title: string;
  readonly licence: string;
  /** The set promises that each mask is one connected region. */
  readonly onePiece: boolean;
  readonly sources: readonly { readonly name: string; readonly bytes?: number; readonly sha256?: string }[];
  readonly cases: number;
  /** Cases a part, `unlabelled` those without mask. */
  readonly parts: Readonly<Record<string, number>>;
  /** What was found on the way that no one must mend. */
  readonly notes: readonly string[];
}

export interface ImportOptions {
  /** Left out: found by the names of the files. */
  readonly format?: Format;
  readonly out: string;
}

/** Cases at work at once. */
const numWorkers = 4;
const shownProblems = 10;

/** @throws invalidData: all that cannot be taken, by name; conflict: where `out` holds something */
export async function importDataSet(paths: readonly string[], { format, out }: ImportOptions): Promise<ImportRecord> {
  await refuseFilled(out);
  const sources: Source[] = [];
  try {
    for (const path of paths) sources.push(await openSource(path));
    const files = listFiles(sources);
    const name = format ?? detectFormat(files);
    const importer = importers[name];
    const found = await importer.find(files);
    if (found.length === 0) throw new SegfleetError('invalidData', `the sources hold no image of ${importer.title}: ${importer.layout}`);
    refuseSameIds(found);
    return await intoFolder(out, async folder => {
      const { cases, overlapping } = await writeCases(found, folder);
      await writeFile(join(folder, 'manifest.csv'), manifestOf(cases, folder));
      const record: ImportRecord = {
        schema: 'segfleet/import/1',
        format: name,
        title: importer.title,
        licence: importer.licence,
        onePiece: importer.onePiece ?? false,
        sources: await Promise.all(paths.map(describeSource)),
        cases: cases.length,
        parts: countParts(cases),
        notes:
          overlapping.images > 0 ? [`${overlapping.pixels} pixels in ${overlapping.images} images belong to more than one instance`] : [],
      };
      await writeFile(join(folder, 'import.json'), `${JSON.stringify(record, null, 2)}\n`);
      return record;
    });
  } finally {
    for (const source of sources) await source.close();
  }
}

async function refuseFilled(out: string): Promise<void> {
  const names = await readdir(out).catch(error => {
    if (error.code === 'ENOENT') return [];
    throw fromSystemError(error, `--out ${out}`);
  });
  if (names.length > 0) throw new SegfleetError('conflict', `${out} is not empty; name a new folder by --out, or remove it`);
}

function refuseSameIds(found: readonly FoundCase[]): void {
  const seen = new Map<string, FoundCase>();
  for (const one of found) {
    const key = one.id.normalize('NFC').toLowerCase();
    const other = seen.get(key);
    if (other) {
      const how = other.id === one.id ? `have the same id ${one.id}` : `have ids that differ by upper and lower case only`;
      throw new SegfleetError(
        'invalidData',
        `${describe(other.image)} and ${describe(one.image)} ${how}; rename one, or import them apart`,
        {
          details: { files: [describe(other.image), describe(one.image)] },
        },
      );
    }
    seen.set(key, one);
  }
}

/** Fills a folder beside the target and renames it; removes it where that fails. */
async function intoFolder<T>(out: string, fill: (folder: string) => Promise<T>): Promise<T> {
  const partial = join(dirname(out), partialName(basename(out)));
  try {
    await mkdir(partial, { recursive: true });
    await removeAbandoned(dirname(out));
    const result = await fill(partial);
    await rename(partial, out);
    return result;
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => {});
    throw fromSystemError(error, `writing ${out}`);
  }
}

/** Goes on behind a case that cannot be taken, so that all of them are named at once. */
async function writeCases(found: readonly FoundCase[], folder: string) {
  for (const name of ['images', 'masks', ...(found.some(({ fov }) => fov) ? ['fov'] : [])]) await mkdir(join(folder, name));
  const cases: Case[] = [];
  const problems: SegfleetError[] = [];
  const overlapping = { images: 0, pixels: 0 };
  const queue = found.values();
  const work = async () => {
    for (const one of queue) {
      try {
        const { written, overlap } = await writeCase(one, folder);
        cases.push(written);
        if (overlap > 0) {
          overlapping.images++;
          overlapping.pixels += overlap;
        }
      } catch (error) {
        if (!(error instanceof SegfleetError && error.code === 'invalidData')) throw error;
        problems.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: numWorkers }, work));
  if (problems.length > 0) throw refusalOf(problems, found.length);
  return { cases: cases.sort((a, b) => (a.id < b.id ? -1 : 1)), overlapping };
}

function refusalOf(problems: readonly SegfleetError[], numCases: number): SegfleetError {
  const sentences = problems.map(({ message }) => message).sort();
  if (sentences.length === 1) return problems[0];
  const more = sentences.length > shownProblems ? `; and ${sentences.length - shownProblems} more (all with --json)` : '';
  return new SegfleetError(
    'invalidData',
    `${sentences.length} of ${numCases} cases cannot be taken: ${sentences.slice(0, shownProblems).join('; ')}${more}`,
    { details: { problems: sentences } },
  );
}

async function writeCase(found: FoundCase, folder: string): Promise<{ written: Case; overlap: number }> {
  const { id, image, mask, fov, part, group } = found;
  const bytes = await image.source.read(image.name);
  const header = await readHeader({ name: describe(image), bytes });
  const size = { height: header.height, width: header.width };
  const written = { id, part, group, image: join(folder, 'images', id + extname(image.name).toLowerCase()) };
  await writeFile(written.image, bytes);
  const [truth, view] = [mask && (await makeMask(mask, image, size)), fov && (await makeMask(fov, image, size))];
  const write = async (name: string, made: MadeMask | undefined) => {
    if (!made) return undefined;
    const file = join(folder, name, id + made.extension);
    await writeFile(file, made.bytes);
    return file;
  };
  return { written: { ...written, mask: await write('masks', truth), fov: await write('fov', view) }, overlap: truth?.overlap ?? 0 };
}

interface MadeMask {
  readonly bytes: Buffer;
  readonly extension: string;
  readonly overlap: number;
}

async function makeMask(origin: MaskOrigin, image: Listed, size: Size): Promise<MadeMask> {
  switch (origin.kind) {
    case 'file': {
      const { source, name } = origin.file;
      const bytes = await source.read(name);
      await readHeader({ name: describe(origin.file), bytes });
      return { bytes, extension: extname(name).toLowerCase(), overlap: 0 };
    }
    case 'threshold': {
      const values = await readValues(origin.file, size);
      return encode(
        values.map(value => (value >= origin.from ? 255 : 0)),
        size,
      );
    }
    case 'union': {
      const mask = new Uint8Array(size.height * size.width);
      let overlap = 0;
      for (const file of origin.files) {
        const values = await readValues(file, size);
        for (let i = 0; i < mask.length; i++) {
          if (values[i] === 0) continue;
          if (mask[i]) overlap++;
          mask[i] = 255;
        }
      }
      return encode(mask, size, overlap);
    }
    case 'runs': {
      const { mask, overlap } = paintRuns(describe(image), origin.rows, size);
      return encode(mask, size, overlap);
    }
  }
}

async function readValues(file: Listed, size: Size): Promise<Uint8Array | Uint16Array> {
  const { values, height, width } = await decodeMaskValues({ name: describe(file), bytes: await file.source.read(file.name) });
  if (height !== size.height || width !== size.width) {
    throw new SegfleetError(
      'invalidData',
      `${describe(file)}: the mask is ${width}x${height} and its image ${size.width}x${size.height} (width x height); they must be the same size`,
      { details: { file: describe(file) } },
    );
  }
  return values;
}

async function encode(mask: Uint8Array | Uint16Array, { height, width }: Size, overlap = 0): Promise<MadeMask> {
  const bytes = await sharp(Uint8Array.from(mask), { raw: { width, height, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toBuffer();
  return { bytes, extension: '.png', overlap };
}

function manifestOf(cases: readonly Case[], folder: string): string {
  const relative = (file: string | undefined) => file?.slice(folder.length + 1) ?? '';
  const optional = (['fov', 'part', 'group'] as const).filter(column => cases.some(one => one[column]));
  const rows = cases.map(one => ({ ...one, image: relative(one.image), mask: relative(one.mask), fov: relative(one.fov) }));
  return stringify(rows, { header: true, columns: ['id', 'image', 'mask', ...optional] });
}

function countParts(cases: readonly Case[]): Record<string, number> {
  const counts: [string, number][] = parts.map(part => [part, cases.filter(one => one.part === part).length]);
  const unlabelled = cases.filter(({ mask }) => !mask).length;
  return Object.fromEntries([...counts, ['unlabelled', unlabelled] as [string, number]].filter(([, count]) => count > 0));
}

/** Name, size and checksum of an archive: a later import of other bytes can be told apart. */
async function describeSource(path: string): Promise<ImportRecord['sources'][number]> {
  const found = await stat(path);
  if (found.isDirectory()) return { name: basename(path) };
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return { name: basename(path), bytes: found.size, sha256: hash.digest('hex') };
}
