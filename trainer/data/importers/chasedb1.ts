/**
 * CHASE_DB1, retinal vessels of children: `Image_01L.jpg`, `Image_01L_1stHO.png` and `Image_01L_2ndHO.png` side by side. The first
 * observer is taken. Both eyes of a child are one group.
 */
import { byKey, type FoundCase, type Importer, matching, missingMask, refuseOrphans } from './importer.ts';

const imagePattern = /(?:^|\/)(Image_\d+[LR])\.jpe?g$/i;
const maskPattern = /(?:^|\/)(Image_\d+[LR])_1stHO\.png$/i;

export const chasedb1: Importer = {
  title: 'CHASE_DB1',
  layout: 'CHASEDB1.zip (Image_01L.jpg, Image_01L_1stHO.png, ...)',
  licence: 'CC BY 4.0; cite Fraz et al., doi:10.1109/TBME.2012.2205687',
  detect: files => files.some(({ path }) => imagePattern.test(path)) && files.some(({ path }) => maskPattern.test(path)),
  find: files => {
    const images = byKey(matching(files, imagePattern));
    const masks = byKey(matching(files, maskPattern));
    refuseOrphans(masks, images, 'fetch the archive again');
    return [...images].map(([id, image]): FoundCase => {
      const mask = masks.get(id);
      if (!mask) throw missingMask(image, `${id}_1stHO.png must lie beside it; fetch the archive again`);
      return { id, image, mask: { kind: 'file', file: mask }, group: id.slice(0, -1) };
    });
  },
};
