/**
 * The code that the result of a run depends on, as one number: what turns a resolved job and data into weights and scores. What writes, reads
 * and shows them is not in it, nor is what reads job files: their defaults are in the resolved job.
 */
import { hash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { version } from './machine.ts';

const folders = ['data', 'engine', 'losses', 'metrics', 'models'];
const files = [
  ...['averages', 'course', 'earlyStopping', 'evaluate', 'lanes', 'memoize', 'position', 'program', 'random'],
  ...['segment', 'train', 'tree', 'wire'],
];

const root = fileURLToPath(new URL('.', import.meta.url));

/** Relative to the folder of this file, sorted. */
export function codeFiles(): string[] {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return [...sourcesBelow(root, folders), ...files.map(name => `${name}.${extension}`)].sort();
}

/** All sources in these folders of `base`, which ends with a slash; relative to it. */
export const sourcesBelow = (base: string, folders: readonly string[]): string[] =>
  folders.flatMap(folder =>
    readdirSync(join(base, folder), { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile() && /\.[jt]s$/.test(entry.name))
      .map(({ parentPath, name }) => join(parentPath, name).slice(base.length)),
  );

/** Of the names and bytes of files, with the version of segfleet. */
export function digestOfFiles(base: string, files: readonly string[]): string {
  const digests = files.map(file => `${file} ${hash('sha256', readFileSync(join(base, file)))}\n`);
  return `${version} ${hash('sha256', digests.join(''))}`;
}

export const codeDigest = (): string => digestOfFiles(root, codeFiles());
