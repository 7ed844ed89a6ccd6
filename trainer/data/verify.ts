/**
 * Checks a whole data set: each case by itself, then images that are there twice. What would make training wrong or impossible is an
 * error; what someone should look at is a warning.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findAllCases } from './cases.ts';
import { nearPairs } from './duplicates.ts';
import type { ImportRecord } from './import.ts';
import { type Finding, finding, type Inspection, inspectCases } from './inspect.ts';
import { readSplit } from './splitFile.ts';

export interface Verification {
  readonly cases: number;
  readonly findings: readonly Finding[];
  readonly errors: number;
  readonly warnings: number;
}

export interface VerifyOptions {
  readonly classes: number;
  readonly exclusive: boolean;
  /** Mask value of pixels that do not count. */
  readonly ignore?: number;
  /** A split file: duplicates are then those across it. */
  readonly split?: string;
}

export async function verifyDataSet(path: string, { classes, exclusive, ignore, split }: VerifyOptions): Promise<Verification> {
  const cases = await findAllCases(path);
  const sides = split ? sidesOf(await readSplit(split)) : undefined;
  const onePiece = (await readImportRecord(path))?.onePiece ?? false;
  const inspections = await inspectCases(cases, { classes, exclusive, ignore, onePiece });
  const side = ({ found }: Inspection) => (sides ? sides.get(found.id) : found.part);
  const findings = [...inspections.flatMap(one => one.findings), ...findDuplicates(inspections, side)];
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  return { cases: cases.length, findings, errors, warnings: findings.length - errors };
}

/** What `dataset import` wrote down; undefined where the set came some other way. */
export async function readImportRecord(path: string): Promise<ImportRecord | undefined> {
  const text = await readFile(join(path, 'import.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

function sidesOf({ training, validation }: { training: readonly string[]; validation: readonly string[] }): Map<string, string> {
  const id = (entry: string) => entry.replace(/@\d+,\d+$/, '');
  return new Map([
    ...training.map(entry => [id(entry), 'training'] as const),
    ...validation.map(entry => [id(entry), 'validation'] as const),
  ]);
}

function findDuplicates(all: readonly Inspection[], side: (one: Inspection) => string | undefined): Finding[] {
  const readable = all.filter(({ image }) => image);
  const across = (a: Inspection, b: Inspection) => side(a) !== undefined && side(b) !== undefined && side(a) !== side(b);
  const named = (one: Inspection) => `${one.found.image}${side(one) ? ` (${side(one)})` : ''}`;
  const exact: Finding[] = [];
  const first = new Map<string, Inspection>();
  for (const one of readable) {
    const other = first.get(one.image!.sha256);
    if (!other) first.set(one.image!.sha256, one);
    else {
      const problem = across(one, other) ? 'duplicateAcrossSplit' : 'duplicate';
      exact.push(finding(problem, one.found, one.found.image, `the same bytes as ${named(other)}`));
    }
  }
  const distinct = [...first.values()];
  const near = nearPairs(distinct.map(one => one.image!.thumbnail)).map(({ first, second, correlation }) => {
    const [one, other] = [distinct[second], distinct[first]];
    const problem = across(one, other) ? 'nearDuplicateAcrossSplit' : 'nearDuplicate';
    return finding(
      problem,
      one.found,
      one.found.image,
      `nearly the same picture as ${named(other)} (correlation ${correlation.toFixed(4)})`,
    );
  });
  return [...exact, ...near];
}
