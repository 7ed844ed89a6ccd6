/**
 * Plain folders: `images/` and `masks/` with the same names, perhaps `fov/`, perhaps below `train/`, `validation/` and `test/`.
 */
import { maskSuffixes, type Part } from '../cases.ts';
import {
  byKey,
  type FoundCase,
  type Importer,
  isImage,
  type Listed,
  type Matched,
  matching,
  missingMask,
  refuseOrphans,
} from './importer.ts';

const within = (folder: string) => new RegExp(`^(.*?)(?:^|/)${folder}/([^/]+)\\.[^/.]+$`, 'i');
const parts: Record<string, Part> = {
  train: 'training',
  training: 'training',
  val: 'validation',
  valid: 'validation',
  validation: 'validation',
  test: 'test',
  testing: 'test',
};

const partOf = (path: string): Part | undefined =>
  path
    .split('/')
    .reverse()
    .map(segment => parts[segment.toLowerCase()])
    .find(Boolean);

const images = (files: readonly Listed[], folder: string): Matched[] =>
  matching(files, within(folder)).filter(({ file }) => isImage(file.name));

export const folder: Importer = {
  title: 'plain folders',
  layout: 'images/ and masks/ with the same names (a mask may also end in _mask or _segmentation)',
  licence: 'that of the data set',
  detect: files => images(files, 'images').length > 0 && images(files, 'masks').length > 0,
  find: files => {
    // Names are unique in their folder; ids must be unique in the set, which the import checks.
    const place = ([, above, stem]: RegExpExecArray) => `${above}/${stem}`;
    const found = byKey(images(files, 'images'), place);
    const views = byKey(images(files, 'fov'), place);
    const masks = byKey(images(files, 'masks'), match => {
      const plain = place(match);
      const suffix = maskSuffixes.find(suffix => plain.endsWith(suffix) && found.has(plain.slice(0, plain.length - suffix.length)));
      return suffix ? plain.slice(0, -suffix.length) : plain;
    });
    refuseOrphans(masks, found, 'images/ must hold it');
    refuseOrphans(views, found, 'images/ must hold it');
    return [...found].map(([key, image]): FoundCase => {
      const mask = masks.get(key);
      const view = views.get(key);
      const part = partOf(key.slice(0, key.lastIndexOf('/')));
      if (!mask && part !== 'test') throw missingMask(image, 'masks/ beside images/ must hold a file of the same name');
      return {
        id: key.slice(key.lastIndexOf('/') + 1),
        image,
        part,
        mask: mask && { kind: 'file', file: mask },
        fov: view && { kind: 'file', file: view },
      };
    });
  },
};
