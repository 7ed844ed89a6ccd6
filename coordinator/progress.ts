/**
 * Where a run stands, as its coordinator tells whoever asks (GET /progress): folded from the events of the run.
 */
import { z } from 'zod';
import type { StepEvent } from '../trainer/tracking/events.ts';
import type { LeadEvent } from './lead.ts';
import { maxWorkers } from './messages.ts';
import { reportsSchema } from './objectiveReports.ts';

const count = z.int().min(0);
const seconds = z.number().min(0);

export const runPhases = ['starting', 'waiting', 'training', 'validating', 'finishing', 'done', 'failed'] as const;

export const progressSchema = z.object({
  run: z.string().max(63),
  phase: z.enum(runPhases),
  /** Members of the current generation. */
  workers: count,
  expected: count,
  generation: count,
  /** Under way, from 1. */
  epoch: count.optional(),
  epochs: count.optional(),
  /** Steps done, of steps in all epochs. */
  step: count.optional(),
  steps: count.optional(),
  loss: z.object({ name: z.string().max(128), value: z.number().optional() }).optional(),
  metric: z.object({ name: z.string().max(64), value: z.number().optional(), best: z.number().optional() }).optional(),
  etaSeconds: seconds.optional(),
  imagesPerSecond: z.number().min(0).optional(),
  checkpoint: z.object({ step: count, epoch: count, at: z.string().max(64) }).optional(),
  /** By rank: how long its part of a sum came after the first one. */
  latenessSeconds: z.array(seconds).max(maxWorkers).optional(),
  weightsDigest: z.string().max(128).optional(),
  /** Where somebody compares this run with others. */
  objective: reportsSchema.optional(),
});
export type Progress = z.infer<typeof progressSchema>;

/** The progress, and what the next one follows from. */
export interface ProgressState {
  readonly progress: Progress;
  readonly stepsPerEpoch: number;
  /** The last steps: their times are uneven, so the middle one is taken. */
  readonly recent: readonly StepEvent[];
  /** Spent in steps of this epoch, and in the validation of the one before. */
  readonly stepSeconds: number;
  readonly validationSeconds: number;
}

const numRecentSteps = 32;

export const startProgress = (run: string, expected: number): ProgressState => ({
  progress: { run, phase: 'starting', workers: 0, expected, generation: 0 },
  stepsPerEpoch: 0,
  recent: [],
  stepSeconds: 0,
  validationSeconds: 0,
});

/** @param now of the wall clock */
export function advanceProgress(state: ProgressState, event: LeadEvent | { readonly event: 'failed' }, now: Date): ProgressState {
  const { progress, stepsPerEpoch } = state;
  const next = (change: Partial<Progress>, more: Partial<ProgressState> = {}): ProgressState => {
    const changed = { ...state, ...more };
    return { ...changed, progress: { ...progress, ...change } };
  };
  switch (event.event) {
    case 'start': {
      const { epochs, resumedAtStep: step = 0 } = event;
      const begun = {
        epochs,
        steps: epochs * event.stepsPerEpoch,
        step,
        epoch: Math.min(epochs, 1 + Math.floor(step / event.stepsPerEpoch)),
      };
      const names = { loss: { name: event.loss.slice(0, 128) }, metric: { name: 'jaccard' } };
      return next({ ...begun, ...names }, { stepsPerEpoch: event.stepsPerEpoch });
    }
    case 'restored': {
      const { step, epoch, written, scores } = event;
      const checkpoint = { step, epoch, at: written };
      return next({ checkpoint, ...(scores.length > 0 && { metric: metric(scores.at(-1)!, Math.max(...scores)) }) });
    }
    case 'listening':
      return next({ phase: 'waiting' });
    case 'workers': {
      const ranked = event.workers.filter(({ rank }) => rank !== undefined).sort((a, b) => a.rank! - b.rank!);
      const lateness = ranked.map(({ lateMs }) => lateMs);
      const isKnown = lateness.length > 0 && lateness.every(late => late !== undefined);
      const latenessSeconds = isKnown ? lateness.map(late => late / 1000) : undefined;
      return next({ phase: phaseOf(state, event, ranked.length), workers: ranked.length, generation: event.generation, latenessSeconds });
    }
    case 'lost':
    case 'paused':
      return state;
    case 'step': {
      const { step, epoch, loss } = event;
      const recent = [...state.recent, event].slice(-numRecentSteps);
      const done = next(
        { step, epoch, loss: { ...progress.loss!, value: loss }, imagesPerSecond: middle(recent.map(one => one.images / one.seconds)) },
        { recent, stepSeconds: state.stepSeconds + event.seconds },
      );
      return timed({ ...done, progress: { ...done.progress, phase: step % stepsPerEpoch === 0 ? 'validating' : 'training' } });
    }
    case 'epoch': {
      const { jaccard } = event.validation.pooled;
      const isLast = event.epoch >= progress.epochs!;
      return timed(
        next(
          {
            phase: isLast ? 'finishing' : 'training',
            epoch: Math.min(progress.epochs!, event.epoch + 1),
            metric: metric(jaccard, Math.max(jaccard, progress.metric?.best ?? 0)),
          },
          { stepSeconds: 0, validationSeconds: Math.max(0, event.seconds - state.stepSeconds) },
        ),
      );
    }
    case 'checkpoint':
      return next({ checkpoint: { step: event.step, epoch: event.epoch, at: now.toISOString() } });
    case 'done':
      return next({ phase: 'done', step: event.steps, etaSeconds: 0, weightsDigest: event.weightsDigest });
    case 'failed':
      return next({ phase: 'failed' });
    default:
      return event satisfies never;
  }
}

const metric = (value: number, best: number) => ({ name: 'jaccard', value, best });

/** Whoever has members computes; without them a run waits. */
function phaseOf({ progress, stepsPerEpoch }: ProgressState, { phase }: { phase: string }, members: number): Progress['phase'] {
  const { phase: before, step = 0, epoch = 1 } = progress;
  if (before === 'finishing' || before === 'done' || before === 'failed') return before;
  if (phase === 'ended') return 'finishing';
  if (members === 0) return 'waiting';
  return step > 0 && step === epoch * stepsPerEpoch ? 'validating' : 'training';
}

/** With the time that what is left will take, as far as the last steps tell. */
function timed(state: ProgressState): ProgressState {
  const { progress, recent, stepsPerEpoch, validationSeconds } = state;
  const { step = 0, steps = 0, epochs = 0 } = progress;
  if (recent.length === 0) return state;
  const validations = epochs - Math.floor((progress.phase === 'validating' ? step - 1 : step) / stepsPerEpoch);
  const etaSeconds = (steps - step) * middle(recent.map(one => one.seconds)) + validations * validationSeconds;
  return { ...state, progress: { ...progress, etaSeconds: Math.max(0, etaSeconds) } };
}

const middle = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
