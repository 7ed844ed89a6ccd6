/**
 * A folder of nnU-Net (version 1 or 2): `dataset.json`, `imagesTr/<case>_0000.png`, `labelsTr/<case>.png`, `imagesTs/` without labels. Of
 * its formats those of flat images; of its channels the first, which holds all colours where images are in colour.
 */
import { z } from 'zod';
import { SegfleetError } from '../../errors.ts';
import { byKey, describe, type FoundCase, type Importer, isImage, type Listed, matching, missingMask, refuseOrphans } from './importer.ts';

const tablePattern = /(?:^|\/)dataset\.json$/;
const imagePattern = /(?:^|\/)images(Tr|Ts)\/([^/]+)_(\d{4})(\.[^/]+)$/;
const labelPattern = /(?:^|\/)labels(Tr|Ts)\/([^/]+?)(?:\.nii\.gz|\.[^/.]+)$/;

const schema = z.object({ labels: z.record(z.string(), z.unknown()), file_ending: z.string().optional() });

export const nnunet: Importer = {
  title: 'nnU-Net',
  layout: 'dataset.json, imagesTr/<case>_0000.png and labelsTr/<case>.png',
  licence: 'that of the data set',
  detect: files => files.some(({ path }) => tablePattern.test(path)) && files.some(({ path }) => imagePattern.test(path)),
  find: async files => {
    const [table] = matching(files, tablePattern);
    await readTable(table.file);
    const matched = matching(files, imagePattern);
    for (const { file, match } of matched) refuseOther(file, match);
    const images = byKey(matched, match => match[2]);
    const labels = byKey(matching(files, labelPattern), match => match[2]);
    refuseOrphans(labels, images, 'imagesTr/ must hold it with the ending _0000');
    const parts = new Map(matched.map(({ match }) => [match[2], match[1]]));
    return [...images].map(([id, image]): FoundCase => {
      const mask = labels.get(id);
      const part = parts.get(id) === 'Tr' ? 'training' : 'test';
      if (!mask && part === 'training') throw missingMask(image, `labelsTr/ must hold ${id}`);
      return { id, image, part, mask: mask && { kind: 'file', file: mask } };
    });
  },
};

async function readTable(table: Listed): Promise<void> {
  try {
    schema.parse(JSON.parse((await table.source.read(table.name)).toString('utf8')));
  } catch (cause) {
    if (cause instanceof SegfleetError) throw cause;
    throw new SegfleetError(
      'invalidData',
      `${describe(table)} is not a dataset.json of nnU-Net (it needs "labels"): ${(cause as Error).message.split('\n')[0]}`,
      {
        cause,
      },
    );
  }
}

function refuseOther(file: Listed, [, , , channel, ending]: RegExpExecArray): void {
  if (!isImage(file.name)) {
    throw new SegfleetError('invalidData', `${describe(file)}: only flat images are read (PNG, JPEG, TIFF, GIF), no volumes (${ending})`);
  }
  if (channel !== '0000') {
    throw new SegfleetError(
      'invalidData',
      `${describe(file)}: channel ${channel} is a file of its own; join the channels of a case into one colour image`,
    );
  }
}
