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
  ...['course', 'earlyStopping', 'evaluate', 'lanes', 'position', 'program', 'random'],
  ...['segment', 'train', 'tree', 'wire'],
];

const root = fileURLToPath(new URL('.', import.meta.url));

/** Relative to the folder of this file, sorted. */
export function codeFiles(): string[] {
  const inFolders = folders.flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile() && /\.[jt]s$/.test(entry.name))
      .map(({ parentPath, name }) => join(parentPath, name).slice(root.length)),
  );
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return [...inFolders, ...files.map(name => `${name}.${extension}`)].sort();
}

/** With the version of segfleet. */
export function codeDigest(): string {
  const digests = codeFiles().map(file => `${file} ${hash('sha256', readFileSync(join(root, file)))}\n`);
  return `${version} ${hash('sha256', digests.join(''))}`;
}
