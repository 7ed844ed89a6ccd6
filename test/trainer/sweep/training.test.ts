/**
 * Sweeps that train: parts of a training come to the same bits as the whole, forks share what they have in common, and searches run to their end.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { keepFork } from '../../../trainer/forks.ts';
import type { RunRecord } from '../../../trainer/runRecord.ts';
import { parseJob } from '../../../trainer/spec.ts';
import { openStore } from '../../../trainer/storage/openStore.ts';
import { RunFolder } from '../../../trainer/storage/runFolder.ts';
import { SweepFolder } from '../../../trainer/sweep/sweepFolder.ts';
import { type TrainOptions, train } from '../../../trainer/train.ts';
import { segfleet } from '../../tools/cli.ts';
import { halving, smallJob, writeJob, writeSweep } from '../../tools/jobs.ts';
import { drawDataSet } from '../../tools/pictures.ts';
import { onSmallDisk } from '../../tools/smallDisk.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-sweep-training-'));
const at = (...parts: string[]) => join(folder, ...parts);
let whole: RunRecord;

beforeAll(async () => {
  await drawDataSet(at('data'), 10, 16, 16);
  writeJob(folder, smallJob('data', 16));
  whole = await run('whole');
});
afterAll(() => rmSync(folder, { recursive: true }));

async function run(out: string, options: Partial<TrainOptions> = {}): Promise<RunRecord> {
  const events = train({ ...parseJob(smallJob('data', 16), at('job.yaml')), base: folder, out: at(out), ...options });
  for (;;) {
    const next = await events.next();
    if (next.done) return next.value;
  }
}

/** Without what depends on when and how fast it was. */
const toldOf = (out: string) =>
  readFileSync(at(out, 'metrics.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
    .filter(({ event }) => event === 'step' || event === 'epoch')
    .map(({ time: _, seconds: __, waitSeconds: ___, imagesPerSecond: ____, waitShare: _____, ...rest }) => rest);

test('a training that pauses after its first epoch ends in the bits of one that does not', async () => {
  const first = await run('parts', { untilEpoch: 1 });
  expect(first).toMatchObject({ status: 'paused', steps: 3 });
  const last = await run('parts', { resume: true });
  expect(last).toMatchObject({ status: 'succeeded', weights: whole.weights, best: whole.best });
  expect(toldOf('parts')).toEqual(toldOf('whole'));
});

test('a fork shares the chunks of the checkpoint that it begins with, and goes on as its parent would have', async () => {
  await run('parent', { untilEpoch: 2 });
  const parent = new RunFolder(at('parent'));
  const kept = at('forks', 'parent-2');
  await keepFork(await openStore(parent.checkpoints), parent, kept);
  const chunks = readdirSync(join(kept, 'chunks'));
  expect(chunks.length).toBeGreaterThan(0);
  const inodes = (place: string) => chunks.map(name => statSync(join(place, 'chunks', name)).ino);
  expect(inodes(kept)).toEqual(inodes(parent.checkpoints));

  // Paused where it begins: nothing of it is its own yet.
  expect(await run('same', { fork: kept, untilEpoch: 2 })).toMatchObject({
    status: 'paused',
    forkedFrom: { run: 'small', step: 6, epoch: 2 },
  });
  expect(inodes(at('same', 'checkpoints'))).toEqual(inodes(kept));
  // The parent drops its own name of them.
  rmSync(parent.path, { recursive: true });

  const same = await run('same', { resume: true });
  expect(same).toMatchObject({ status: 'succeeded', weights: whole.weights, forkedFrom: { run: 'small', step: 6, epoch: 2 } });
});

test('successive halving from the command line; its best job, trained by itself, has the same weights', async () => {
  const file = writeSweep(folder, 'halving', halving);
  const out = at('sweeps', 'halving');
  const ran = await segfleet(['sweep', 'run', file, '--out', out, '--json']);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  const record = new SweepFolder(out).readRecord();
  expect(record.status).toBe('succeeded');
  expect(record.trials.map(({ runs }) => runs[0].epochs).sort()).toEqual([1, 1, 3]);
  const best = record.trials[record.best!];
  expect(best.state).toBe('succeeded');
  // What has ended needs no checkpoints.
  for (const { runs } of record.trials) expect(readdirSync(join(out, runs[0].folder))).not.toContain('checkpoints');

  expect(await segfleet(['sweep', 'best', out, '--out', at('best.yaml')])).toMatchObject({ code: 0, stderr: '' });
  expect(await segfleet(['train', at('best.yaml'), '--out', at('best')])).toMatchObject({ code: 0, stderr: '' });
  const { weights } = new RunFolder(at('best')).readRecord<RunRecord>();
  expect(weights).toEqual(new RunFolder(join(out, best.runs[0].folder)).readRecord<RunRecord>().weights);

  const results = await segfleet(['sweep', 'results', out, '--format', 'csv']);
  const [head, ...rows] = results.stdout.split('\n');
  expect(head).toBe(
    'trial,replicate,state,group,training.optimizer.learningRate,val/jaccard,best_epoch,epochs,seconds,folder,reused_from,error',
  );
  expect(rows).toHaveLength(3);
});

test('a disk that is full ends a sweep with 11 and one sentence; where there is room it goes on', async () => {
  const file = writeSweep(folder, 'disk', '  method: grid\n  parameters: {training.optimizer.learningRate: {values: [0.001]}}\n');
  const [disk, saved] = [at('disk'), at('saved')];
  const under = onSmallDisk(disk, 60, join(disk, 'sweep'), join(saved));
  const full = await segfleet(['sweep', 'run', file, '--out', join(disk, 'sweep'), '--set', 'training.epochs=2'], { under });
  expect(full.stderr).toMatch(/^error: .*no space left on the disk; free some space[^\n]*\n$/);
  expect(full.code).toBe(11);
  const after = await segfleet(['sweep', 'run', file, '--out', saved, '--set', 'training.epochs=2']);
  expect(after).toMatchObject({ code: 0, stderr: '' });
  expect(new SweepFolder(saved).readRecord()).toMatchObject({ status: 'succeeded', counts: { succeeded: 1, failed: 0 } });
});

test('a population: the worse member goes on with the weights of the better one', async () => {
  const file = writeSweep(
    folder,
    'population',
    `  method: pbt
  parameters: {training.optimizer.learningRate: {values: [1.0e-6, 1.0e-2]}}
  pbt: {population: 2, interval: 1, quantile: 0.5, mutations: [training.optimizer.learningRate]}
`,
  );
  const out = at('sweeps', 'population');
  const ran = await segfleet(['sweep', 'run', file, '--out', out, '--set', 'training.epochs=2']);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  const record = new SweepFolder(out).readRecord();
  expect(record.status).toBe('succeeded');
  const forks = record.trials.filter(({ forkedFrom }) => forkedFrom);
  expect(forks).toHaveLength(1);
  const [{ forkedFrom, runs }] = forks;
  expect(new RunFolder(join(out, runs[0].folder)).readRecord<RunRecord>()).toMatchObject({
    status: 'succeeded',
    forkedFrom: { run: `population-000${forkedFrom!.trial}`, step: 3, epoch: 1 },
  });
  expect(readdirSync(out)).not.toContain('forks');
});
