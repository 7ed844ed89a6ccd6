/**
 * A run that TensorBoard has read once, see test/bench/tensorboard.ts: killed in the middle of a record, gone on with from its checkpoint, and done.
 */
import { appendFileSync, mkdirSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseJob } from '../../trainer/spec.ts';
import type { TrainEvent } from '../../trainer/tracking/events.ts';
import { TensorBoardLog } from '../../trainer/tracking/tensorboard.ts';
import { smallJob } from './jobs.ts';
import { drawPicture, pngOf } from './pictures.ts';

const began = Date.parse('2026-11-26T12:00:00.000Z');

const step = (number: number, loss: number) => ({
  ...{ event: 'step', step: number, epoch: Math.ceil(number / 2), loss, gradientNorm: 0.5, learningRate: 0.25, logShare: 1 },
  ...{ images: 8, seconds: 2, waitSeconds: 0.125 },
});
const metrics = (jaccard: number) => ({ jaccard, dice: 0.5, precision: 0.25, recall: 0.125, specificity: 1, f1: 0.5, accuracy: 0.75 });
const epoch = (number: number, jaccard: number) => ({
  ...{ event: 'epoch', epoch: number, step: 2 * number, loss: 1 / number },
  validation: { images: 2, loss: 0.5, pooled: metrics(jaccard), perImage: metrics(jaccard / 2), auc: { auc: 0.875, halfWidth: 0 } },
});

/** What each process says: the first is killed after step 3 of an epoch whose beginning is stored. */
export const processes = [
  [{ event: 'start' }, step(1, 1), step(2, 0.5), epoch(1, 0.25), step(3, 8)],
  [{ event: 'start', resumedAtStep: 2 }, step(3, 0.25), step(4, 0.125), epoch(2, 0.5), { event: 'done', steps: 4 }],
];

/** @returns the folder of the event files */
export async function writeEventFiles(folder: string): Promise<string> {
  const board = join(folder, 'tensorboard');
  mkdirSync(join(folder, 'overlays'), { recursive: true });
  for (const name of ['best', 'median', 'worst']) {
    const { pixels } = drawPicture(name, 12, 10);
    await writeFile(join(folder, 'overlays', `${name}.png`), await pngOf(pixels, 12, 10, 3));
  }
  const { job } = parseJob(smallJob('data'), 'job.yaml');
  for (const [i, events] of processes.entries()) {
    let seconds = 100 * i;
    const now = () => new Date(began + 1000 * seconds++);
    const onProblem = (sentence: string) => {
      throw new Error(sentence);
    };
    const log = new TensorBoardLog(job, { onProblem, now });
    for (const event of events) log.take({ ...event, folder } as unknown as TrainEvent);
    log.close();
    // Killed: what it was writing is cut off.
    if (i === 0) appendFileSync(join(board, readdirSync(board)[0]), Buffer.from([40, 0, 0, 0, 0]));
  }
  return board;
}
