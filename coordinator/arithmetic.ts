/**
 * How this machine computes: the gradients of one drawn lane at the weights that the seed gives. A library or a device that rounds or sums otherwise, or
 * that chose another algorithm as it started, has other bits here, before it could bring them into a run.
 */
import { createHash } from 'node:crypto';
import type { Course } from '../trainer/course.ts';
import type { Batch } from '../trainer/data/batch.ts';
import { startOfLane } from '../trainer/lanes.ts';
import type { Program } from '../trainer/program.ts';

/** @param program with the weights that the seed gives; it keeps them */
export async function digestOfArithmetic({ job, options }: Course, program: Program): Promise<string> {
  const { batch: images, lanes } = job.spec.training;
  const buffers = program.buckets(Number.POSITIVE_INFINITY).map(length => new Float32Array(length));
  await program.contribute([{ lane: 0, batch: drawnBatch(startOfLane(1, images, lanes), options) }], {
    ticket: { generation: 0, step: 1 },
    images,
    meet: async ([own]) => own,
    stream: { bucketLength: Number.POSITIVE_INFINITY, place: (_, bucket) => buffers[bucket], deliver: () => {} },
  });
  const hash = createHash('sha256');
  for (const values of buffers) hash.update(values);
  return hash.digest('hex');
}

/** Every value of a pixel, and every class, in no order that helps. */
function drawnBatch(count: number, { image, classes }: Pick<Course['options'], 'image' | 'classes'>): Batch {
  const pixels = count * image.height * image.width;
  const drawn = (i: number) => Math.imul(i + 1, 0x9e3779b1) >>> 24;
  return {
    count,
    images: new Uint8Array(pixels * image.channels).map((_, i) => drawn(i)),
    labels: new Uint8Array(pixels).map((_, i) => drawn(i) % Math.max(2, classes)),
  };
}
