/**
 * The layouts that are known, in the order in which they are tried: the most particular first.
 */
import { SegfleetError } from '../../errors.ts';
import { chasedb1 } from './chasedb1.ts';
import { drive } from './drive.ts';
import { dsb2018 } from './dsb2018.ts';
import { folder } from './folder.ts';
import type { Importer, Listed } from './importer.ts';
import { isic2018 } from './isic2018.ts';
import { nnunet } from './nnunet.ts';

export const importers = { nnunet, drive, chasedb1, dsb2018, isic2018, folder } satisfies Record<string, Importer>;

export type Format = keyof typeof importers;
export const formats = Object.keys(importers) as Format[];

/** @throws invalidData: a list of files that is none of the layouts */
export function detectFormat(files: readonly Listed[]): Format {
  const format = formats.find(name => importers[name].detect(files));
  if (format) return format;
  const known = formats.map(name => `${name}: ${importers[name].layout}`).join('; ');
  throw new SegfleetError(
    'invalidData',
    `the ${files.length} files of the sources have none of the layouts that are known (${known}); say which with --format`,
  );
}
