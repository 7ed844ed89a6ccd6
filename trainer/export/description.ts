/**
 * What whoever loads an exported model must know to use it, in words and as text fields of the file.
 */
import { basename } from 'node:path';
import { version } from '../machine.ts';
import type { StoredRun } from '../openRun.ts';
import { inputSizeOf, type Job } from '../spec.ts';
import type { Selection } from '../storage/runFolder.ts';

export interface ModelDescription {
  readonly name: string;
  readonly image: { readonly height: number; readonly width: number; readonly channels: number };
  readonly classes: number;
  readonly exclusive: boolean;
  /** How an image becomes the input. */
  readonly input: string;
  /** What the channels of the output mean. */
  readonly output: string;
  /** For the text fields of a file. */
  readonly metadata: Readonly<Record<string, string>>;
}

export function describeModel({ job, digest }: Pick<StoredRun, 'job' | 'digest'>, select: Selection): ModelDescription {
  const { patches, channels, classes, exclusive } = job.spec.data;
  const { height, width } = inputSizeOf(job.spec.data);
  const colour = channels === 3 ? 'red, green, blue (sRGB)' : 'luminance';
  const scale = patches
    ? `windows of ${width}x${height} (width x height) at native resolution; segfleet lets neighbours overlap by half at least and blends their logits`
    : `resized to ${width}x${height} (width x height) by a triangle filter`;
  const input = `${colour}; bytes divided by 255, so from 0 to 1; ${scale}`;
  const output = exclusive
    ? `probability of each of ${classes} classes that exclude each other (softmax over channels); channel 0 is the background`
    : `probability of ${classes === 1 ? 'the foreground' : `each of ${classes} classes by itself: channel c is label c + 1`} (sigmoid); above 0.5 is predicted`;
  const metadata = {
    producer: `segfleet ${version}`,
    name: job.metadata.name,
    input,
    output,
    weights: `${select} epoch, SHA-256 ${digest}`,
    spec: JSON.stringify(specToShow(job)),
  };
  return { name: job.metadata.name, image: { height, width, channels }, classes, exclusive, input, output, metadata };
}

/** The job without the paths of the machine that it ran on: of files and folders their own names. */
export function specToShow({ spec }: Job): Job['spec'] {
  const { path, split } = spec.data;
  return { ...spec, data: { ...spec.data, path: basename(path), split: { ...split, ...(split.file && { file: basename(split.file) }) } } };
}
