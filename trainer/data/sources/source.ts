/**
 * Where a data set comes from: a folder, a zip or tar archive, or a single file, all seen as a list of named files whose bytes are read
 * one by one. Nothing is unpacked to disk. What an archive says about itself is not believed: names, sizes and counts are checked.
 */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { fromSystemError, SegfleetError } from '../../errors.ts';
import { openFile, openFolder } from './folder.ts';
import { openCompressedTar, openTar } from './tar.ts';
import { openZip } from './zip.ts';

export interface Source {
  readonly path: string;
  /** Relative, with forward slashes, in ascending order. */
  readonly names: readonly string[];
  /** @throws invalidData: bytes that are damaged, or more or fewer than the archive says */
  read(name: string): Promise<Buffer>;
  close(): Promise<void>;
}

const kinds = [
  { kind: 'zip archive', ending: /\.zip$/i, open: openZip },
  { kind: 'tar archive', ending: /\.tar$/i, open: openTar },
  { kind: 'compressed tar archive', ending: /\.(tar\.gz|tgz)$/i, open: openCompressedTar },
  { kind: 'CSV file', ending: /\.csv$/i, open: openFile },
];

/** @throws notFound, usage, invalidData: with the source in the sentence, and the member where there is one */
export async function openSource(path: string): Promise<Source> {
  const found = await stat(path).catch(error => {
    throw fromSystemError(error, path);
  });
  if (found.isDirectory()) return openFolder(path);
  const kind = kinds.find(({ ending }) => ending.test(path));
  if (!kind) throw new SegfleetError('usage', `${path} is no source: give a folder, a .zip, .tar or .tar.gz archive, or a .csv file`);
  return kind.open(path);
}

/** The name of a source without folder and ending: it often says what is inside. */
export const stemOf = (path: string): string =>
  kinds.reduce((name, { ending }) => name.replace(ending, ''), basename(path.replace(/\/+$/, '')));
