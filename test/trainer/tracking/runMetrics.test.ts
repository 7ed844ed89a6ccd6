/**
 * What a run has said, as values of its metrics: whatever is said in whatever order, the values are those of the catalogue, few, and right.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Scores } from '../../../trainer/evaluate.ts';
import { epochsToWithin, normalisedLoss } from '../../../trainer/report/curves.ts';
import { maxSeries, metricsPrefix, named, runMetrics } from '../../../trainer/tracking/catalogue.ts';
import type { EpochEvent, StartEvent, StepEvent } from '../../../trainer/tracking/events.ts';
import { expose } from '../../../trainer/tracking/registry.ts';
import { advanceMetrics, beginMetrics, type RunNews, samplesOf } from '../../../trainer/tracking/runMetrics.ts';
import { parseExposition, promtoolFindings, readSeries } from '../../tools/exposition.ts';
import '../../tools/seed.ts';
import { hasPrometheus } from '../../tools/tools.ts';

const identity = { run: 'skin', loss: 'adaptiveLog(dice)', model: 'unet', dataset: 'isic', sweep: '', trial: '' };
const t0 = Date.parse('2026-11-26T12:00:00.000Z');
const at = (seconds: number) => new Date(t0 + 1000 * seconds);
const grace = 300;

/** Each with the seconds after the beginning at which it is heard. */
type Heard = readonly [number, RunNews];
const fold = (heard: readonly Heard[], from = beginMetrics(identity, at(0))) =>
  heard.reduce((state, [seconds, news]) => advanceMetrics(state, news, at(seconds)), from);
const textOf = (state: ReturnType<typeof fold>, seconds: number) =>
  expose(named(runMetrics), metricsPrefix, () => samplesOf(state, at(seconds), grace)).text();
async function read(heard: readonly Heard[], seconds: number) {
  const families = parseExposition(await textOf(fold(heard), seconds));
  return (name: string, labels: Record<string, string> = {}) => readSeries(families, metricsPrefix + name, labels);
}

/** 3 epochs of 4 steps, 8 images each. */
const start = (more: Partial<StartEvent> = {}): StartEvent => ({
  ...{ event: 'start', name: 'skin', folder: 'run', loss: 'dice', model: 'unet', parameters: 1 },
  ...{ trainingImages: 32, validationImages: 4, stepsPerEpoch: 4, epochs: 3, batch: 8 },
  ...{ precision: 'float32', threads: 1, tensorflow: '2', library: 'cache', devices: [] },
  ...more,
});
const step = (number: number, more: Partial<StepEvent> = {}): StepEvent => ({
  ...{ event: 'step', step: number, epoch: Math.ceil(number / 4), loss: 1 / number, gradientNorm: 2, learningRate: 0.1 },
  ...{ images: 8, seconds: 2, waitSeconds: 0.5 },
  ...more,
});
const scores = (jaccard: number, loss: number): Scores => {
  const all = { jaccard, dice: 0.9, recall: 0.8, precision: 0.7, specificity: 0.6, accuracy: 0.5, f1: 0.9 } as unknown as Scores['pooled'];
  return { images: 4, loss, pooled: all, perImage: all, auc: { auc: 0.95, halfWidth: 0 } };
};
const epoch = (number: number, jaccard: number, loss = 1 / number): EpochEvent => ({
  ...{ event: 'epoch', epoch: number, step: number * 4, loss, learningRate: 0.1, validation: scores(jaccard, loss / 2) },
  ...{ isBest: false, seconds: 10, imagesPerSecond: 4, waitShare: 0.25 },
});
const workers = (...late: readonly (number | undefined)[]): RunNews => ({
  ...{ event: 'workers', phase: 'computing', generation: 5, dropped: { json: 2, odd: 3 }, refused: { auth: 1, protocol: 0, other: 0 } },
  workers: [
    { id: 'spare', silentMs: 0 },
    ...late.map((lateMs, rank) => ({ id: `pod-${rank}`, rank, lateMs, seconds: 1 + rank, silentMs: 250, lanes: 2 })),
  ],
});

describe('one process', () => {
  const heard: Heard[] = [
    [0, start()],
    ...[1, 2, 3, 4].map((number): Heard => [10 + 2 * number, step(number, { logShare: number % 2 })]),
    // Validated for 3 s.
    [21, epoch(1, 0.5)],
    [22, { event: 'checkpoint', step: 4, epoch: 1, bytes: 1000, seconds: 1 }],
  ];

  test('what it is, where it is and how fast', async () => {
    const value = await read(heard, 32);
    expect(value('run_info', identity)).toBe(1);
    expect(value('run_state', { state: 'training' })).toBe(1);
    expect(value('run_state', { state: 'failed' })).toBe(0);
    expect([value('step'), value('steps_planned'), value('epoch'), value('epochs_planned')]).toEqual([4, 12, 1, 3]);
    expect([value('steps_total'), value('samples_total'), value('steps_repeated_total')]).toEqual([4, 32, 0]);
    expect([value('workers'), value('workers_planned'), value('generation')]).toEqual([1, 1, undefined]);
    expect(value('last_step_age_seconds')).toBe(32 - 18);
  });

  test('where the time went: 4 steps of 2 s, a quarter of it waiting, then 3 s of validation', async () => {
    const value = await read(heard, 22);
    const phase = (name: string) => value('phase_seconds_total', { phase: name });
    expect(['data', 'compute', 'exchange', 'validation', 'checkpoint'].map(phase)).toEqual([2, 6, undefined, 3, 1]);
    expect(value('elapsed_seconds')).toBe(22);
    expect(value('goodput_ratio')).toBe((4 * 2 + 3) / 22);
    expect(value('step_duration_seconds_bucket', { le: '1' })).toBe(0);
    expect(value('step_duration_seconds_bucket', { le: '2.5' })).toBe(4);
    expect([value('step_duration_seconds_sum'), value('step_duration_seconds_count')]).toEqual([8, 4]);
  });

  test('ages are those of the moment that is asked for', async () => {
    for (const seconds of [22, 23, 1000]) {
      const value = await read(heard, seconds);
      expect([value('checkpoint_age_seconds'), value('checkpoint_verified_age_seconds')]).toEqual([seconds - 22, seconds - 22]);
      expect([value('checkpoint_step'), value('checkpoint_bytes'), value('checkpoints_total')]).toEqual([4, 1000, 1]);
    }
  });

  test('convergence: raw and normalised loss, scores, the epoch that came near the best, the plateau, the branches of ALL', async () => {
    const more = [0.8, 0.84, 0.83].flatMap((jaccard, i): Heard[] => [[30 + i, epoch(i + 2, jaccard, [0.2, 0.4, 0.6][i])]]);
    const value = await read([...heard, ...more], 40);
    expect(value('loss_value', { split: 'batch' })).toBe(1 / 4);
    expect(value('loss_value', { split: 'training' })).toBe(0.6);
    expect(value('loss_value', { split: 'validation' })).toBe(0.3);
    // (0.6 - 0.2) / (1 - 0.2)
    expect(value('loss_normalised_ratio', { split: 'training' })).toBeCloseTo(0.5, 12);
    expect(value('validation_score_ratio', { metric: 'jaccard', over: 'pooled' })).toBe(0.83);
    expect(value('validation_score_ratio', { metric: 'dice', over: 'images' })).toBe(0.9);
    expect(value('validation_score_ratio', { metric: 'auc', over: 'pooled' })).toBe(0.95);
    expect(value('best_validation_jaccard_ratio')).toBe(0.84);
    expect(['0.05', '0.02', '0.01'].map(delta => value('convergence_epochs', { delta }))).toEqual([2, 3, 3]);
    expect(value('plateau_epochs')).toBe(1);
    expect(value('gradient_norm')).toBe(2);
    expect(['log', 'linear'].map(branch => value('adaptive_log_branch_ratio', { branch }))).toEqual([0.5, 0.5]);
    expect(
      (
        await read(
          [
            [0, start()],
            [1, step(1)],
          ],
          2,
        )
      )('adaptive_log_branch_ratio', { branch: 'log' }),
    ).toBeUndefined();
  });

  test.each([
    ['diverged', false, { failed: 1, nonfinite_total: 1, checkpoint_failures_total: 0 }],
    ['resources', true, { failed: 1, nonfinite_total: 0, checkpoint_failures_total: 1 }],
    ['preempted', false, { stopped: 1, nonfinite_total: 0, checkpoint_failures_total: 0 }],
  ] as const)('ended by %s', async (code, whileSaving, expected) => {
    const value = await read([...heard, [25, { event: 'failed', code, whileSaving }]], 30);
    for (const [name, number] of Object.entries(expected)) {
      expect([name, name.includes('_') ? value(name) : value('run_state', { state: name })]).toEqual([name, number]);
    }
    expect(value('run_failures_total', { code })).toBe(code === 'preempted' ? undefined : 1);
    // Time stands still.
    expect([value('elapsed_seconds'), value('checkpoint_age_seconds'), value('last_step_age_seconds')]).toEqual([25, 3, 0]);
  });

  test('a run that has ended is told of for the grace, and then no more', async () => {
    const ended: Heard[] = [...heard, [100, { event: 'done' } as RunNews]];
    expect((await read(ended, 100 + grace))('run_state', { state: 'succeeded' })).toBe(1);
    const families = parseExposition(await textOf(fold(ended), 101 + grace));
    expect([...families.values()].flatMap(({ series }) => series)).toEqual([]);
  });
});

describe('a run that is taken over', () => {
  test('goes on with the epochs of before, and counts what is done again', async () => {
    const before: RunNews = { event: 'before', epochs: [epoch(1, 0.5), epoch(2, 0.8)], step: 8 };
    // Ten steps had been done, and the checkpoint is of the eighth.
    const resumed = start({ resumedAtStep: 8, undoneSteps: 2, restarts: { killed: 2, odd: 1 } });
    const heard: Heard[] = [
      [0, resumed],
      [0, before],
      [0, { event: 'restored', step: 8, written: at(-60).toISOString() }],
    ];
    const value = await read([...heard, ...[9, 10, 11].map((number): Heard => [number, step(number)])], 12);
    expect([value('step'), value('steps_total'), value('steps_repeated_total'), value('epoch')]).toEqual([11, 3, 2, 2]);
    expect(value('goodput_ratio')).toBe(2 / 12);
    expect([value('restarts_total', { reason: 'killed' }), value('restarts_total', { reason: 'other' })]).toEqual([2, 1]);
    expect([value('checkpoint_age_seconds'), value('checkpoint_verified_age_seconds')]).toEqual([72, 12]);
    expect([value('best_validation_jaccard_ratio'), value('convergence_epochs', { delta: '0.05' })]).toEqual([0.8, 2]);
  });

  test('where all who held the steps were lost, those since the checkpoint are done again', async () => {
    const before: RunNews = { event: 'before', epochs: [epoch(1, 0.5)], step: 7 };
    const value = await read(
      [[0, start({ resumedAtStep: 4 })], [0, before], ...[5, 6, 7, 8].map((number): Heard => [number, step(number)])],
      9,
    );
    expect([value('steps_total'), value('steps_repeated_total'), value('goodput_ratio')]).toEqual([4, 3, 2 / 9]);
  });

  test('an epoch that is told again counts once', async () => {
    const value = await read(
      [
        [0, start()],
        [1, epoch(1, 0.5)],
        [2, epoch(2, 0.9)],
        [3, epoch(2, 0.6)],
      ],
      4,
    );
    expect([value('epoch'), value('best_validation_jaccard_ratio'), value('plateau_epochs')]).toEqual([2, 0.6, 0]);
  });
});

test('workers: who they are, who comes late, who was lost, who did not get in', async () => {
  const lost: RunNews = { event: 'lost', reason: 'silent', repeats: true };
  const split = step(1, { phases: { exchange: 0.25, commit: 0.125, apply: 0.125 } });
  const value = await read(
    [
      [0, start({ workers: 3 })],
      [1, workers(0, 250)],
      [2, lost],
      [2, { ...lost, reason: '<b>' }],
      [3, split],
    ],
    4,
  );
  expect([value('workers'), value('workers_planned'), value('workers_spare'), value('generation')]).toEqual([2, 3, 1, 5]);
  expect(['0', '1', '2'].map(rank => value('worker_lateness_seconds', { rank }))).toEqual([0, 0.25, undefined]);
  expect(value('worker_info', { rank: '1', worker: 'pod-1' })).toBe(1);
  expect([value('worker_compute_seconds', { rank: '1' }), value('worker_silence_seconds', { rank: '1' })]).toEqual([2, 0.25]);
  expect(['silent', 'other', 'left'].map(reason => value('workers_lost_total', { reason }))).toEqual([1, 1, 0]);
  expect(value('steps_repeated_total')).toBe(2);
  expect(['json', 'other', 'size'].map(reason => value('frames_dropped_total', { reason }))).toEqual([2, 3, 0]);
  expect(value('connections_refused_total', { reason: 'auth' })).toBe(1);
  const phases = ['data', 'compute', 'exchange', 'commit', 'apply'].map(phase => value('phase_seconds_total', { phase }));
  expect(phases).toEqual([0.5, 1, 0.25, 0.125, 0.125]);
});

test('requests to object storage', async () => {
  const request = (operation: string, outcome: string, seconds: number): RunNews => ({ event: 's3', operation, outcome, seconds });
  const value = await read(
    [
      [0, request('get', 'ok', 0.02)],
      [0, request('get', 'server', 3)],
      [0, request('teleport', '?', 1)],
    ],
    1,
  );
  expect(value('s3_requests_total', { operation: 'get', outcome: 'ok' })).toBe(1);
  expect(value('s3_requests_total', { operation: 'other', outcome: 'network' })).toBe(1);
  expect(value('s3_request_duration_seconds_bucket', { operation: 'get', le: '0.025' })).toBe(1);
  expect(value('s3_request_duration_seconds_count', { operation: 'get' })).toBe(2);
});

const number = fc.double({ min: 0, max: 1e6, noNaN: true });
const wild = fc.oneof(number, fc.constant(Number.NaN), fc.constant(Number.POSITIVE_INFINITY));
const anyText = fc.string({ unit: 'binary', maxLength: 300 });
const counts = fc.dictionary(anyText, fc.nat(), { maxKeys: 12 });
const anyNews: fc.Arbitrary<RunNews> = fc.oneof(
  fc
    .record({ resumedAtStep: fc.option(fc.nat(30), { nil: undefined }), undoneSteps: fc.nat(5), restarts: counts })
    .map(more => start(more)),
  fc
    .record({
      number: fc.integer({ min: 1, max: 30 }),
      loss: wild,
      gradientNorm: wild,
      logShare: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
    })
    .map(({ number, logShare, ...more }) => step(number, { ...more, ...(logShare !== null && { logShare }) })),
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.double({ min: 0, max: 1, noNaN: true }), wild).map(given => epoch(...given)),
  fc.record({ event: fc.constant('checkpoint' as const), step: fc.nat(30), epoch: fc.nat(9), bytes: fc.nat(), seconds: number }),
  fc.constant({ event: 'paused' as const, step: 1, epoch: 1 }),
  fc.constant({ event: 'done' } as RunNews),
  fc.constant({ event: 'listening' as const }),
  fc.record({ event: fc.constant('restored' as const), step: fc.nat(30), written: anyText }),
  fc.record({ event: fc.constant('lost' as const), reason: anyText, repeats: fc.boolean() }),
  fc.record({ event: fc.constant('s3' as const), operation: anyText, outcome: anyText, seconds: number }),
  fc.record({
    event: fc.constant('failed' as const),
    code: fc.constantFrom('bug' as const, 'diverged' as const, 'preempted' as const),
    whileSaving: fc.boolean(),
  }),
  fc.record({
    event: fc.constant('workers' as const),
    phase: anyText,
    generation: fc.nat(),
    dropped: counts,
    refused: counts,
    // Ranks are given once each.
    workers: fc
      .uniqueArray(fc.option(fc.nat(400), { nil: undefined }), { maxLength: 20, selector: rank => rank ?? {} })
      .map(ranks => ranks.map(rank => ({ id: '<\n>', rank, lanes: 1, silentMs: 1, seconds: 1, lateMs: 1 }))),
  }),
);

test('whatever is said in whatever order: the text parses, no value is of another label than the catalogue has, and counters never fall', async () => {
  const anyIdentity = fc.record({ run: anyText, loss: anyText, model: anyText, dataset: anyText, sweep: anyText, trial: anyText });
  const entries = new Map(named(runMetrics).map(entry => [entry.name, entry]));
  await fc.assert(
    fc.asyncProperty(anyIdentity, fc.array(anyNews, { maxLength: 40 }), async (who, said) => {
      let state = beginMetrics(who, at(0));
      let before = new Map<string, number>();
      for (const [i, news] of said.entries()) {
        state = advanceMetrics(state, news, at(i));
        if (i % 8 !== 0 && i !== said.length - 1) continue;
        const families = parseExposition(await textOf(state, i));
        const after = new Map<string, number>();
        for (const { name, type, series } of families.values()) {
          const entry = entries.get(name)!;
          expect(series.length).toBeLessThanOrEqual(maxSeries(entry));
          for (const one of series) {
            const { le: _, ...labels } = one.labels;
            expect(Object.keys(labels).sort()).toEqual(Object.keys(entry.labels).sort());
            for (const [label, value] of Object.entries(labels)) {
              const allowed = entry.labels[label];
              expect(value.length).toBeLessThanOrEqual(128);
              if (Array.isArray(allowed)) expect(allowed).toContain(value);
            }
            // What others have counted may begin anew: a process that is taken over, a coordinator.
            const isTheirs = /frames_dropped|connections_refused|restarts/.test(name);
            if (type === 'gauge' || isTheirs) continue;
            const key = JSON.stringify([one.name, one.labels]);
            expect(one.value).toBeGreaterThanOrEqual(before.get(key) ?? 0);
            after.set(key, one.value);
          }
        }
        for (const key of before.keys()) expect(after.has(key)).toBe(true);
        before = after;
      }
    }),
    { numRuns: 60 },
  );
});

test('convergence is that of the report, whatever the curve', async () => {
  const curve = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0.001, max: 10, noNaN: true })), {
    minLength: 1,
    maxLength: 20,
  });
  await fc.assert(
    fc.asyncProperty(curve, async values => {
      const value = await read(
        values.map(([jaccard, loss], i): Heard => [i, epoch(i + 1, jaccard, loss)]),
        30,
      );
      const jaccards = values.map(([jaccard]) => jaccard);
      for (const delta of [0.05, 0.02, 0.01])
        expect(value('convergence_epochs', { delta: String(delta) })).toBe(epochsToWithin(jaccards, delta));
      expect(value('loss_normalised_ratio', { split: 'training' })).toBe(normalisedLoss(values.map(([, loss]) => loss))?.at(-1));
      expect(value('plateau_epochs')).toBe(values.length - epochsToWithin(jaccards, 0));
    }),
    { numRuns: 100 },
  );
});

/** All that can be told. */
const everything: Heard[] = [
  [0, start({ workers: 2, resumedAtStep: 0, restarts: { killed: 1 } })],
  [1, workers(0, 10)],
  [2, step(1, { logShare: 0.5, phases: { exchange: 0.1, commit: 0.1, apply: 0.1 } })],
  [3, { event: 'lost', reason: 'left', repeats: false }],
  [4, epoch(1, 0.5)],
  [5, epoch(2, 0.4)],
  [6, { event: 'checkpoint', step: 4, epoch: 1, bytes: 10, seconds: 1 }],
  [7, { event: 's3', operation: 'get', outcome: 'ok', seconds: 0.1 }],
  [8, { event: 'failed', code: 'diverged', whileSaving: true }],
];

test('no metric of the catalogue is never told', async () => {
  const families = parseExposition(await textOf(fold(everything), 9));
  const silent = [...families.values()].filter(({ series }) => series.length === 0).map(({ name }) => name);
  expect([silent, families.size]).toEqual([[], named(runMetrics).length]);
});

test('names with markup and quotes come back as they were, on one line', async () => {
  const name = 'a"b\\c<script>é';
  const state = advanceMetrics(beginMetrics({ ...identity, run: name, dataset: `${name}\n${'x'.repeat(500)}` }, at(0)), start(), at(0));
  const families = parseExposition(await textOf(state, 1));
  expect(families.get('segfleet_run_info')!.series[0].labels).toMatchObject({
    run: name,
    dataset: `${name} ${'x'.repeat(500)}`.slice(0, 128),
  });
});

test.runIf(hasPrometheus())('promtool finds nothing', async () => {
  expect(promtoolFindings(await textOf(fold(everything), 9))).toBe('');
});
