/**
 * Run folders as training leaves them, without training: record, log and table come from the same code, their numbers from a formula.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LossName } from '../../trainer/losses/catalogue.ts';
import { writeResults } from '../../trainer/report/run.ts';
import type { RunRecord } from '../../trainer/runRecord.ts';
import { parseJob } from '../../trainer/spec.ts';
import { RunFolder } from '../../trainer/storage/runFolder.ts';
import { type EpochEvent, epochEvent, type StepEvent, stepEvent, type TrainEvent } from '../../trainer/tracking/events.ts';
import { smallJob } from './jobs.ts';

export interface MadeRun {
  readonly name: string;
  readonly loss?: LossName;
  readonly seed?: number;
  readonly epochs: number;
  /** Of them, those that are done. @default all */
  readonly done?: number;
  readonly stepsPerEpoch: number;
  /** When it began, in milliseconds since 1970. */
  readonly at: number;
  readonly more?: Partial<RunRecord>;
}

const stepSeconds = 0.25;

/** The events of such a run, each with its time. */
export function* toldBy({
  name,
  loss = 'dice',
  seed = 0,
  epochs,
  done = epochs,
  stepsPerEpoch,
  at,
}: MadeRun): Generator<TrainEvent & { time: string }> {
  const spec = parseJob(smallJob('data'), 'job.yaml').job.spec;
  const wobble = (i: number) => Math.sin(12.9898 * (i + 1) + 78.233 * seed);
  const start = { event: 'start' as const, name, folder: name, loss, model: 'unet', epochs, stepsPerEpoch } as TrainEvent;
  yield { time: new Date(at).toISOString(), ...start };
  let step = 0;
  for (let epoch = 1; epoch <= done; epoch++) {
    const steps: StepEvent[] = [];
    for (let i = 0; i < stepsPerEpoch; i++) {
      step++;
      const x = step / (stepsPerEpoch * epochs);
      const result = {
        loss: 0.2 + Math.exp(-4 * x) + 0.05 * wobble(step),
        gradientNorm: 0.5 + 0.4 * wobble(step + 7),
        ...(loss === 'adaptiveLog' && { logShare: x > 0.5 ? 0.5 + 0.5 * wobble(step) : 0 }),
      };
      const phases = { exchange: 0.04, commit: 0.01, apply: 0.02 };
      const event = stepEvent({ step, epoch } as never, result as never, {
        learningRate: 0.001 * (1 - x),
        images: 4,
        seconds: stepSeconds,
        waitSeconds: 0.03,
        phases,
      });
      steps.push(event);
      yield { time: new Date(at + 1000 * stepSeconds * step).toISOString(), ...event };
    }
    const jaccard = 0.85 * (1 - Math.exp((-5 * epoch) / epochs)) + 0.01 * wobble(epoch);
    const metrics = {
      jaccard,
      dice: (2 * jaccard) / (1 + jaccard),
      f1: jaccard,
      precision: 0.9,
      recall: 0.9,
      specificity: 0.98,
      accuracy: 0.95,
    };
    const validation = {
      images: 5,
      loss: 0.3 + Math.exp((-4 * epoch) / epochs),
      pooled: metrics,
      perImage: metrics,
      auc: { auc: 0.97, halfWidth: 0 },
    };
    const position = { epoch, step, lossSum: steps.reduce((sum, { loss }) => sum + loss, 0), images: stepsPerEpoch, logShareSum: 0 };
    const event = epochEvent(position as never, steps, {
      loss: spec.loss,
      stepsPerEpoch,
      epochStarted: performance.now(),
      validation,
      isBest: true,
      learningRate: 0.001,
    });
    yield { time: new Date(at + 1000 * stepSeconds * step).toISOString(), ...event };
    yield {
      time: new Date(at + 1000 * stepSeconds * step).toISOString(),
      event: 'checkpoint',
      step,
      epoch,
      bytes: 8_000_000,
      seconds: 0.2,
    };
  }
}

/** Writes the folder of such a run, checkpoints and weights left out. */
export async function makeRun(path: string, made: MadeRun): Promise<void> {
  const { name, loss = 'dice', seed = 0, epochs, done = epochs, at, more } = made;
  const folder = new RunFolder(path);
  mkdirSync(path, { recursive: true });
  const text = smallJob('data').replace('adaptiveLog', loss).replace('seed: 3', `seed: ${seed}`).replace('epochs: 3', `epochs: ${epochs}`);
  const { job } = parseJob(text, 'job.yaml');
  const events = [...toldBy(made)];
  writeFileSync(folder.job, text);
  writeFileSync(folder.events, events.map(event => `${JSON.stringify(event)}\n`).join(''));
  await writeResults(
    folder.results,
    events.filter((event): event is EpochEvent & { time: string } => event.event === 'epoch'),
  );
  const record: Partial<RunRecord> = {
    schema: 'segfleet/run/1',
    name,
    status: done === epochs ? 'succeeded' : 'running',
    job: { ...job, metadata: { ...job.metadata, name } },
    startedAt: new Date(at).toISOString(),
    resumed: [],
    ...(done === epochs && { endedAt: events.at(-1)!.time, exit: { code: 0 } }),
    ...more,
  };
  writeFileSync(folder.record, `${JSON.stringify(record, null, 2)}\n`);
}

/** Grey pictures for the viewer: a square of truth, and probabilities that fall from left to right. */
export async function makeOverlays(path: string): Promise<void> {
  const { renderOverlay, renderProbability } = await import('../../trainer/report/overlay.ts');
  const size = { height: 48, width: 48 };
  const pixels = Uint8Array.from({ length: 48 * 48 }, (_, i) => 60 + (i % 48));
  const truth = Uint8Array.from({ length: 48 * 48 }, (_, i) => Number(i % 48 < 24 && i / 48 > 12 && i / 48 < 36));
  const logits = Float32Array.from({ length: 48 * 48 }, (_, i) => (i / 48 > 14 && i / 48 < 34 ? (26 - (i % 48)) / 6 : -6));
  for (const kind of ['best', 'median', 'worst']) {
    const file = join(path, 'overlays', `${kind}.png`);
    mkdirSync(join(path, 'overlays'), { recursive: true });
    writeFileSync(
      file,
      await renderOverlay(
        pixels,
        Uint8Array.from(logits, logit => Number(logit > 0)),
        truth,
        { ...size, channels: 1 },
      ),
    );
    const maps = await renderProbability(logits, truth, { ...size, classes: 1, exclusive: false });
    for (const [name, map] of Object.entries(maps)) writeFileSync(file.replace(/png$/, `${name}.png`), map);
  }
}
