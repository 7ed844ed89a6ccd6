/**
 * ISIC 2018 task 1, lesion boundaries (challenge.isic-archive.com, data of 2018): `ISIC2018_Task1-2_<Part>_Input.zip` with
 * `ISIC_<7 digits>.jpg`, and `ISIC2018_Task1_<Part>_GroundTruth.zip` with `ISIC_<7 digits>_segmentation.png` (before 2018 `_Segmentation`).
 */
import type { Part } from '../cases.ts';
import { byKey, type FoundCase, type Importer, matching, missingMask, refuseOrphans } from './importer.ts';

const imagePattern = /(?:^|\/)(ISIC_\d{7})\.jpe?g$/i;
const maskPattern = /(?:^|\/)(ISIC_\d{7})_segmentation\.png$/i;

const partOf = (path: string): Part | undefined => {
  const [, name] = /_(Training|Validation|Test)_/i.exec(path) ?? [];
  return name?.toLowerCase() as Part | undefined;
};

export const isic2018: Importer = {
  title: 'ISIC 2018 task 1',
  layout:
    'ISIC2018_Task1-2_Training_Input.zip (ISIC_<7 digits>.jpg) and ISIC2018_Task1_Training_GroundTruth.zip (ISIC_<7 digits>_segmentation.png)',
  licence: 'CC BY-NC 4.0; cite Codella et al., arXiv:1902.03368, and Tschandl et al., doi:10.1038/sdata.2018.161',
  onePiece: true,
  detect: files => files.some(({ path }) => imagePattern.test(path)) && files.some(({ path }) => maskPattern.test(path)),
  find: files => {
    const images = byKey(matching(files, imagePattern));
    const masks = byKey(matching(files, maskPattern));
    refuseOrphans(masks, images, 'give the Input archive of the same part too');
    return [...images].map(([id, image]): FoundCase => {
      const mask = masks.get(id);
      const part = partOf(image.path);
      if (!mask && part !== 'test' && part !== 'validation') throw missingMask(image, 'give the GroundTruth archive of the same part too');
      return { id, image, part, mask: mask && { kind: 'file', file: mask } };
    });
  },
};
