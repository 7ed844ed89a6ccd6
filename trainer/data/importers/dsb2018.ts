/**
 * Data Science Bowl 2018, nuclei (BBBC038): `<part>/<id>/images/<id>.png` and one `<part>/<id>/masks/<hash>.png` a nucleus; archives
 * come with and without the top folder. The masks of the test parts are run lengths in `stage1_solution.csv`.
 */
import { parse } from 'csv-parse/sync';
import { SegfleetError } from '../../errors.ts';
import type { Part } from '../cases.ts';
import { byKey, describe, type FoundCase, type Importer, type Listed, matching, missingMask, refuseOrphans } from './importer.ts';

const imagePattern = /(?:^|\/)([^/]+)\/images\/\1\.png$/i;
const instancePattern = /(?:^|\/)([^/]+)\/masks\/[^/]+\.png$/i;
const tablePattern = /\.csv$/i;

const partOf = (path: string): Part | undefined => {
  const [, name] = /stage\d_(train|test)/i.exec(path) ?? [];
  return name ? (name.toLowerCase() === 'train' ? 'training' : 'test') : undefined;
};

export const dsb2018: Importer = {
  title: 'Data Science Bowl 2018',
  layout: 'stage1_train.zip (<id>/images/<id>.png and <id>/masks/*.png), and for test images stage1_test.zip with stage1_solution.csv',
  licence: 'CC0; cite Caicedo et al., doi:10.1038/s41592-019-0612-7',
  detect: files => files.some(({ path }) => imagePattern.test(path)),
  find: async files => {
    const images = byKey(matching(files, imagePattern));
    const instances = new Map<string, Listed[]>();
    for (const { file, match } of matching(files, instancePattern)) instances.set(match[1], [...(instances.get(match[1]) ?? []), file]);
    refuseOrphans(new Map([...instances].map(([id, [first]]) => [id, first])), images, 'fetch the archive again');
    const runs = await readRuns(files.filter(({ path }) => tablePattern.test(path)));
    return [...images].map(([id, image]): FoundCase => {
      const part = partOf(image.path);
      const files = instances.get(id);
      const rows = runs.get(id);
      if (files) return { id, image, part, mask: { kind: 'union', files } };
      if (rows) return { id, image, part, mask: { kind: 'runs', rows } };
      if (part !== 'test') throw missingMask(image, `its folder masks/ is empty and no .csv has a row for it; fetch the archive again`);
      return { id, image, part };
    });
  },
};

/** Rows of run lengths by image. Rows whose Usage is Ignored stand for images that were not scored: they get no mask. */
async function readRuns(tables: readonly Listed[]): Promise<Map<string, string[]>> {
  const runs = new Map<string, string[]>();
  for (const table of tables) {
    let rows: Record<string, string>[];
    try {
      rows = parse(await table.source.read(table.name), { columns: true, bom: true, skip_empty_lines: true, trim: true });
    } catch (cause) {
      throw new SegfleetError('invalidData', `${describe(table)} is not a readable CSV file: ${(cause as Error).message}`, { cause });
    }
    if (!rows[0] || !('ImageId' in rows[0] && 'EncodedPixels' in rows[0])) continue; // class tables circulate too
    for (const { ImageId: id, EncodedPixels: row, Usage: usage } of rows) {
      if (usage === 'Ignored') continue;
      const known = runs.get(id);
      if (known) known.push(row);
      else runs.set(id, [row]);
    }
  }
  return runs;
}
