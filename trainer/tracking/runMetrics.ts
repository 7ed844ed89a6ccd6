/**
 * What a run has said so far, as values of the metrics of catalogue.ts: a pure fold. Nothing is measured here, and time comes in: each event with
 * when it was heard, and each reading with when it is asked for.
 *
 * However long a run is and whatever it is told, the series are bounded: names are cut, ranks beyond `maxRanks` are left out, and values that the
 * catalogue does not know count as "other".
 */
import type { ErrorCode } from '../errors.ts';
import type { Scores } from '../evaluate.ts';
import { deltas, epochsToWithin, normalisedLoss } from '../report/curves.ts';
import { maxRanks, other, type Phase, type RunMetricName, type RunStateName, runMetrics, runStates } from './catalogue.ts';
import { type EpochEvent, type StartEvent, type StepEvent, spentIn, type TrainEvent } from './events.ts';

/** What a process that leads workers says besides. */
export type FleetNews =
  | { readonly event: 'listening' }
  | {
      readonly event: 'workers';
      readonly phase: string;
      readonly generation: number;
      readonly workers: readonly {
        readonly id: string;
        /** Undefined for a spare. */
        readonly rank?: number;
        readonly lanes?: number;
        readonly silentMs: number;
        readonly seconds?: number;
        readonly lateMs?: number;
      }[];
      /** Since the process began, by why. */
      readonly dropped: Readonly<Record<string, number>>;
      readonly refused: Readonly<Record<string, number>>;
    }
  | { readonly event: 'restored'; readonly step: number; readonly written: string }
  | { readonly event: 'lost'; readonly reason: string; readonly repeats: boolean };

export type RunNews =
  | TrainEvent
  | FleetNews
  /** It has ended with this error; `whileSaving`: while a checkpoint was written. */
  | { readonly event: 'failed'; readonly code: ErrorCode; readonly whileSaving: boolean }
  /** The epochs and steps that it had told of when this process took it over. */
  | { readonly event: 'before'; readonly epochs: readonly EpochEvent[]; readonly step: number }
  /** A request to object storage was answered, or was not. */
  | { readonly event: 's3'; readonly operation: string; readonly outcome: string; readonly seconds: number };

export interface Identity {
  readonly run: string;
  readonly loss: string;
  readonly model: string;
  readonly dataset: string;
  readonly sweep: string;
  readonly trial: string;
}

interface Epoch {
  readonly epoch: number;
  readonly loss: number;
  readonly validation: Scores;
}

interface HistogramState {
  /** By bucket, those above the last one at the end. */
  readonly counts: readonly number[];
  readonly sum: number;
}

type Counts = Readonly<Record<string, number>>;

/** All times in seconds of the wall clock. */
export interface RunMetricsState {
  readonly identity: Identity;
  readonly began: number;
  readonly ended: number | undefined;
  readonly state: RunStateName;
  readonly start: StartEvent | undefined;
  readonly step: number;
  /** Up to which steps have been done, also by a process before. */
  readonly furthest: number;
  readonly lastStep: StepEvent | undefined;
  readonly lastStepAt: number | undefined;
  readonly numSteps: number;
  readonly samples: number;
  readonly repeated: number;
  readonly usefulSeconds: number;
  readonly phaseSeconds: Readonly<Partial<Record<Phase, number>>>;
  readonly stepSeconds: HistogramState;
  /** Since the last step was told. */
  readonly savingSeconds: number;
  /** By number, rising. */
  readonly epochs: readonly Epoch[];
  /** Of the steps of the epoch that goes on: their sum and number. */
  readonly logShare: { readonly epoch: number; readonly sum: number; readonly of: number } | undefined;
  readonly fleet: Extract<FleetNews, { event: 'workers' }> | undefined;
  readonly lost: Counts;
  readonly failures: Counts;
  readonly nonfinite: number;
  readonly checkpoint: { readonly step: number; readonly at: number; readonly verifiedAt: number; readonly bytes?: number } | undefined;
  readonly checkpoints: number;
  readonly checkpointFailures: number;
  /** By operation and outcome. */
  readonly requests: Counts;
  readonly requestSeconds: Readonly<Record<string, HistogramState>>;
}

const noCounts = (buckets: readonly number[]): HistogramState => ({ counts: new Array(buckets.length + 1).fill(0), sum: 0 });

export const beginMetrics = (identity: Identity, at: Date): RunMetricsState => ({
  identity,
  began: secondsOf(at),
  ended: undefined,
  state: 'starting',
  start: undefined,
  step: 0,
  furthest: 0,
  lastStep: undefined,
  lastStepAt: undefined,
  numSteps: 0,
  samples: 0,
  repeated: 0,
  usefulSeconds: 0,
  phaseSeconds: {},
  stepSeconds: noCounts(runMetrics.step_duration_seconds.buckets),
  savingSeconds: 0,
  epochs: [],
  logShare: undefined,
  fleet: undefined,
  lost: {},
  failures: {},
  nonfinite: 0,
  checkpoint: undefined,
  checkpoints: 0,
  checkpointFailures: 0,
  requests: {},
  requestSeconds: {},
});

const secondsOf = (time: Date): number => time.getTime() / 1000;

export function advanceMetrics(state: RunMetricsState, news: RunNews, now: Date): RunMetricsState {
  const at = secondsOf(now);
  switch (news.event) {
    case 'start': {
      const { resumedAtStep: step = 0, undoneSteps = 0 } = news;
      return { ...state, start: news, step, furthest: Math.max(state.furthest, step + undoneSteps) };
    }
    case 'before':
      return {
        ...state,
        furthest: Math.max(state.furthest, news.step),
        epochs: news.epochs.map(({ epoch, loss, validation }) => ({ epoch, loss, validation })),
      };
    case 'restored': {
      const written = Date.parse(news.written) / 1000;
      return { ...state, checkpoint: { step: news.step, at: Number.isFinite(written) ? written : at, verifiedAt: at } };
    }
    case 'listening':
      return { ...state, state: 'waiting' };
    case 'workers':
      return { ...state, fleet: news, state: stateWith(state, news) };
    case 'lost': {
      const repeated = state.repeated + (news.repeats ? 1 : 0);
      return { ...state, repeated, lost: count(state.lost, known(runMetrics.workers_lost_total.labels.reason, news.reason)) };
    }
    case 'step':
      return afterStep(state, news, at);
    case 'epoch':
      return afterEpoch(state, news, at);
    case 'checkpoint': {
      const { step, bytes, seconds = 0 } = news;
      return {
        ...state,
        checkpoint: { step, at, verifiedAt: at, bytes },
        checkpoints: state.checkpoints + 1,
        savingSeconds: state.savingSeconds + seconds,
        phaseSeconds: add(state.phaseSeconds, 'checkpoint', seconds),
      };
    }
    case 'paused':
      return { ...state, state: 'paused', ended: at };
    case 'done':
      return { ...state, state: 'succeeded', ended: at };
    case 'failed':
      return afterFailure(state, news, at);
    case 's3': {
      const { labels } = runMetrics.s3_requests_total;
      const operation = known(labels.operation, news.operation);
      const { buckets } = runMetrics.s3_request_duration_seconds;
      const before = state.requestSeconds[operation] ?? noCounts(buckets);
      return {
        ...state,
        requests: count(state.requests, `${operation} ${labels.outcome.find(one => one === news.outcome) ?? 'network'}`),
        requestSeconds: { ...state.requestSeconds, [operation]: observe(before, buckets, news.seconds) },
      };
    }
    default:
      return news satisfies never;
  }
}

/** Whoever has members computes; without them a run waits. */
function stateWith({ state, step, start }: RunMetricsState, { phase, workers }: Extract<FleetNews, { event: 'workers' }>): RunStateName {
  if (isEnd(state) || state === 'finishing') return state;
  if (phase === 'ended') return 'finishing';
  if (!workers.some(({ rank }) => rank !== undefined)) return 'waiting';
  return state === 'validating' || (start && step > 0 && state !== 'training' && step % start.stepsPerEpoch === 0)
    ? 'validating'
    : 'training';
}

const isEnd = (state: RunStateName): boolean => runStates.indexOf(state) >= runStates.indexOf('succeeded');

function afterStep(state: RunMetricsState, event: StepEvent, at: number): RunMetricsState {
  const { step, epoch, seconds, images, logShare } = event;
  const isRepeated = step <= state.furthest;
  const share = state.logShare?.epoch === epoch ? state.logShare : { epoch, sum: 0, of: 0 };
  const stepsPerEpoch = state.start?.stepsPerEpoch ?? 0;
  return {
    ...state,
    step,
    furthest: Math.max(state.furthest, step),
    lastStep: event,
    lastStepAt: at,
    numSteps: state.numSteps + 1,
    samples: state.samples + images,
    repeated: state.repeated + (isRepeated ? 1 : 0),
    usefulSeconds: state.usefulSeconds + (isRepeated ? 0 : seconds),
    phaseSeconds: Object.entries(spentIn(event)).reduce((sums, [phase, time]) => add(sums, phase as Phase, time), state.phaseSeconds),
    stepSeconds: observe(state.stepSeconds, runMetrics.step_duration_seconds.buckets, seconds),
    savingSeconds: 0,
    logShare: logShare === undefined ? undefined : { epoch, sum: share.sum + logShare, of: share.of + 1 },
    state: stepsPerEpoch > 0 && step % stepsPerEpoch === 0 ? 'validating' : 'training',
  };
}

function afterEpoch(state: RunMetricsState, { epoch, loss, validation, isBest: _, ...event }: EpochEvent, at: number): RunMetricsState {
  const isRepeated = state.epochs.some(before => before.epoch >= epoch);
  // From the last step on there was nothing else, but for a checkpoint.
  const validating = state.lastStep?.step === event.step ? Math.max(0, at - state.lastStepAt! - state.savingSeconds) : 0;
  const isLast = epoch >= (state.start?.epochs ?? Number.POSITIVE_INFINITY);
  return {
    ...state,
    epochs: [...state.epochs.filter(before => before.epoch < epoch), { epoch, loss, validation }],
    usefulSeconds: state.usefulSeconds + (isRepeated ? 0 : validating),
    phaseSeconds: add(state.phaseSeconds, 'validation', validating),
    savingSeconds: 0,
    state: isLast ? 'finishing' : 'training',
  };
}

function afterFailure(state: RunMetricsState, { code, whileSaving }: Extract<RunNews, { event: 'failed' }>, at: number): RunMetricsState {
  if (isEnd(state.state)) return state;
  const isAsked = code === 'preempted' || code === 'interrupted';
  return {
    ...state,
    state: isAsked ? 'stopped' : 'failed',
    ended: at,
    failures: isAsked ? state.failures : count(state.failures, code),
    nonfinite: state.nonfinite + (code === 'diverged' ? 1 : 0),
    checkpointFailures: state.checkpointFailures + (whileSaving ? 1 : 0),
  };
}

const known = (values: readonly string[], value: string): string => (values.includes(value) ? value : other);

const count = (counts: Counts, key: string): Counts => ({ ...counts, [key]: (counts[key] ?? 0) + 1 });

const add = (sums: RunMetricsState['phaseSeconds'], phase: Phase, seconds: number) => ({ ...sums, [phase]: (sums[phase] ?? 0) + seconds });

function observe({ counts, sum }: HistogramState, buckets: readonly number[], value: number): HistogramState {
  const place = buckets.filter(bound => bound < value).length;
  return { counts: counts.with(place, counts[place] + 1), sum: sum + value };
}

/** One series of a metric; of a histogram the count up to each bound, and the sum. */
export interface Sample<N extends string = string> {
  readonly name: N;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number | { readonly buckets: readonly number[]; readonly count: number; readonly sum: number };
}

/** Values at this time; nothing once the run has ended for so long that whoever asks has seen its end. */
export function samplesOf(state: RunMetricsState, now: Date, graceSeconds: number): Sample<RunMetricName>[] {
  const at = secondsOf(now);
  if (state.ended !== undefined && at - state.ended > graceSeconds) return [];
  return [...readings(state, at)].map(({ name, labels, value }) => ({ name, labels: { run: cut(state.identity.run), ...labels }, value }));
}

/** Of names that somebody chose; a line of text is all that Prometheus can take. */
const cut = (text: string): string =>
  text
    .replace(/\p{Cc}/gu, ' ')
    .slice(0, 128)
    .toWellFormed();

function* readings(state: RunMetricsState, at: number): Generator<Sample<RunMetricName>> {
  const { identity, start, lastStep, epochs, fleet, checkpoint } = state;
  const read = (
    name: RunMetricName,
    value: Sample['value'] | undefined,
    labels: Record<string, string> = {},
  ): readonly Sample<RunMetricName>[] => (value === undefined ? [] : [{ name, labels, value }]);
  const until = state.ended ?? at;
  const since = (time: number) => Math.max(0, until - time);

  yield* read('run_info', 1, Object.fromEntries(Object.entries(identity).map(([name, value]) => [name, cut(value)])));
  for (const name of runStates) yield* read('run_state', name === state.state ? 1 : 0, { state: name });
  for (const [code, times] of Object.entries(state.failures)) yield* read('run_failures_total', times, { code });
  const restarts = tally(runMetrics.restarts_total.labels.reason, start?.restarts ?? {});
  for (const [reason, times] of Object.entries(restarts)) yield* read('restarts_total', times, { reason });

  yield* read('epoch', epochs.at(-1)?.epoch ?? 0);
  yield* read('epochs_planned', start?.epochs);
  yield* read('step', state.step);
  yield* read('steps_planned', start && start.epochs * start.stepsPerEpoch);
  yield* read('steps_total', state.numSteps);
  yield* read('samples_total', state.samples);
  yield* read('steps_repeated_total', state.repeated);
  yield* read('last_step_age_seconds', state.ended === undefined ? since(state.lastStepAt ?? state.began) : 0);

  yield* read('loss_value', lastStep?.loss, { split: 'batch' });
  const last = epochs.at(-1);
  if (last) {
    const losses = { training: epochs.map(({ loss }) => loss), validation: epochs.map(({ validation }) => validation.loss) };
    for (const [split, values] of Object.entries(losses)) {
      yield* read('loss_value', values.at(-1), { split });
      yield* read('loss_normalised_ratio', normalisedLoss(values)?.at(-1), { split });
    }
    const { pooled, perImage, auc } = last.validation;
    const scores = { ...pooled, auc: auc?.auc } as Record<string, number | undefined>;
    for (const metric of runMetrics.validation_score_ratio.labels.metric) {
      yield* read('validation_score_ratio', scores[metric], { metric, over: 'pooled' });
      yield* read('validation_score_ratio', (perImage as Record<string, number> | undefined)?.[metric], { metric, over: 'images' });
    }
    const jaccards = epochs.map(({ validation }) => validation.pooled.jaccard);
    const epochAt = (place: number) => epochs[place - 1]?.epoch;
    yield* read(
      'best_validation_jaccard_ratio',
      jaccards.reduce((a, b) => Math.max(a, b)),
    );
    for (const delta of deltas) yield* read('convergence_epochs', epochAt(epochsToWithin(jaccards, delta)), { delta: String(delta) });
    const best = epochAt(epochsToWithin(jaccards, 0));
    yield* read('plateau_epochs', best === undefined ? undefined : last.epoch - best);
  }
  yield* read('gradient_norm', lastStep?.gradientNorm);
  yield* read('learning_rate', lastStep?.learningRate);
  if (state.logShare) {
    const share = state.logShare.sum / state.logShare.of;
    yield* read('adaptive_log_branch_ratio', share, { branch: 'log' });
    yield* read('adaptive_log_branch_ratio', 1 - share, { branch: 'linear' });
  }
  yield* read('nonfinite_total', state.nonfinite);

  yield* read('step_duration_seconds', cumulative(state.stepSeconds));
  for (const [phase, seconds] of Object.entries(state.phaseSeconds)) yield* read('phase_seconds_total', seconds, { phase });
  const elapsed = since(state.began);
  yield* read('elapsed_seconds', elapsed);
  yield* read('goodput_ratio', elapsed > 0 ? Math.min(1, state.usefulSeconds / elapsed) : undefined);

  // Where nobody else shares the steps there is one who computes.
  yield* read('workers_planned', start && (start.workers ?? 1));
  const members = fleet?.workers.filter(({ rank }) => rank !== undefined);
  yield* read('workers', members?.length ?? (start && (start.workers === undefined ? 1 : 0)));
  if (fleet && members) {
    yield* read('workers_spare', fleet.workers.length - members.length);
    yield* read('generation', fleet.generation);
    for (const { id, rank, lateMs, seconds, silentMs, lanes } of members) {
      if (!Number.isInteger(rank) || rank! < 0 || rank! >= maxRanks) continue;
      const labels = { rank: String(rank) };
      yield* read('worker_info', 1, { ...labels, worker: cut(id) });
      yield* read('worker_lateness_seconds', lateMs === undefined ? undefined : lateMs / 1000, labels);
      yield* read('worker_compute_seconds', seconds, labels);
      yield* read('worker_silence_seconds', silentMs / 1000, labels);
      yield* read('worker_lanes', lanes, labels);
    }
    const { frames_dropped_total: frames, connections_refused_total: connections } = runMetrics;
    for (const [reason, times] of Object.entries(tally(frames.labels.reason, fleet.dropped)))
      yield* read('frames_dropped_total', times, { reason });
    for (const [reason, times] of Object.entries(tally(connections.labels.reason, fleet.refused)))
      yield* read('connections_refused_total', times, { reason });
    // All from the start, so that the first one is a rise.
    const lost = tally(runMetrics.workers_lost_total.labels.reason, state.lost);
    for (const [reason, times] of Object.entries(lost)) yield* read('workers_lost_total', times, { reason });
  }

  yield* read('checkpoints_total', state.checkpoints);
  yield* read('checkpoint_failures_total', state.checkpointFailures);
  if (checkpoint) {
    yield* read('checkpoint_step', checkpoint.step);
    yield* read('checkpoint_age_seconds', since(checkpoint.at));
    yield* read('checkpoint_verified_age_seconds', since(checkpoint.verifiedAt));
    yield* read('checkpoint_bytes', checkpoint.bytes);
  }

  for (const [key, times] of Object.entries(state.requests)) {
    const [operation, outcome] = key.split(' ');
    yield* read('s3_requests_total', times, { operation, outcome });
  }
  for (const [operation, seconds] of Object.entries(state.requestSeconds)) {
    yield* read('s3_request_duration_seconds', cumulative(seconds), { operation });
  }
}

/** By each of the values, what is not among them as "other". */
function tally(values: readonly string[], counts: Counts): Record<string, number> {
  const sums: Record<string, number> = Object.fromEntries(values.map(value => [value, 0]));
  for (const [value, times] of Object.entries(counts)) sums[known(values, value)] += times;
  return sums;
}

function cumulative({ counts, sum }: HistogramState): Sample['value'] {
  let total = 0;
  const upTo = counts.map(count => {
    total += count;
    return total;
  });
  return { buckets: upTo.slice(0, -1), count: total, sum };
}
