/**
 * DRIVE, retinal vessels: `training/images/21_training.tif`, `training/1st_manual/21_manual1.gif`, `training/mask/21_training_mask.gif`
 * (the field of view), and `test/` likewise, whose manual masks are no longer given out. Some copies of the masks are not strictly
 * binary, hence the threshold. The data may not be redistributed.
 */
import type { Part } from '../cases.ts';
import { byKey, type FoundCase, type Importer, matching, missingMask, refuseOrphans } from './importer.ts';

const imagePattern = /(?:^|\/)images\/(\d+_(training|test))\.tiff?$/i;
const manualPattern = /(?:^|\/)(?:(training|test)\/)?1st_manual\/(\d+)_manual1\.(?:gif|png|tiff?)$/i;
const viewPattern = /(?:^|\/)mask\/(\d+_(?:training|test))_mask\.(?:gif|png|tiff?)$/i;
const from = 128;

export const drive: Importer = {
  title: 'DRIVE',
  layout:
    'training.zip (training/images/21_training.tif, training/1st_manual/21_manual1.gif, training/mask/21_training_mask.gif) and test.zip',
  licence: 'not to be redistributed; cite Staal et al., doi:10.1109/TMI.2004.825627',
  detect: files => files.some(({ path }) => imagePattern.test(path)),
  find: files => {
    const matchedImages = matching(files, imagePattern);
    const images = byKey(matchedImages);
    const views = byKey(matching(files, viewPattern));
    // Images 1 to 20 are the test part and 21 to 40 the training part, so that a number is enough where no folder says the part.
    const partOfNumber = new Map(matchedImages.map(({ match }) => [match[1].split('_')[0], match[2].toLowerCase()]));
    const manuals = byKey(
      matching(files, manualPattern),
      ([, part, number]) => `${number}_${part?.toLowerCase() ?? partOfNumber.get(number)}`,
    );
    refuseOrphans(manuals, images, 'give the images too');
    refuseOrphans(views, images, 'give the images too');
    return [...images].map(([id, image]): FoundCase => {
      const part = (id.toLowerCase().endsWith('training') ? 'training' : 'test') satisfies Part;
      const mask = manuals.get(id);
      const view = views.get(id);
      if (!mask && part === 'training') throw missingMask(image, 'training/1st_manual must hold it; fetch training.zip again');
      return {
        id,
        image,
        part,
        mask: mask && { kind: 'threshold', file: mask, from },
        fov: view && { kind: 'threshold', file: view, from },
      };
    });
  },
};
