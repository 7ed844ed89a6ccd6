/**
 * Many workers as one: whoever computes which lanes, and whoever dies or comes meanwhile, the run folder is that of one process. Real
 * processes, real sockets, the command line as a user has it.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Course } from '../../trainer/course.ts';
import { loadJob } from '../../trainer/spec.ts';
import { newestCheckpoint, writeCheckpoint } from '../tools/checkpoints.ts';
import { type CliOptions, eventsOf, type Finished, segfleet } from '../tools/cli.ts';
import { sharedJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet, pngOf } from '../tools/pictures.ts';
import { type Result, resultOf } from '../tools/result.ts';
import { isAlive, workersOf } from '../tools/workers.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-workers-'));
const out = (name: string) => join(folder, name);
const job = () => out('job.yaml');
let undisturbed: Result;

beforeAll(async () => {
  // Nine training images in batches of four: the last of an epoch has one, so three lanes are empty. Six to validate on: two rounds.
  await drawDataSet(out('data'), 15, 16, 16);
  writeJob(folder, sharedJob('data', 6));
  expect(await segfleet(['train', job(), '--out', out('one process')])).toMatchObject({ code: 0, stderr: '' });
  undisturbed = resultOf(out('one process'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each([1, 2, 3, 4])('%i workers: the run folder of one process', async workers => {
  const run = out(`${workers} workers`);
  expect(await segfleet(['train', job(), '--out', run, '--workers', String(workers)])).toMatchObject({ code: 0, stderr: '' });
  expect(resultOf(run)).toEqual(undisturbed);
});

test('one worker and one lane: plain training', async () => {
  const settings = ['--set', 'training.lanes=1', '--set', 'training.batch=3'];
  expect(await segfleet(['train', job(), '--out', out('plain'), ...settings])).toMatchObject({ code: 0, stderr: '' });
  expect(await segfleet(['train', job(), '--out', out('alone'), ...settings, '--workers', '1'])).toMatchObject({ code: 0, stderr: '' });
  expect(resultOf(out('alone'))).toEqual(resultOf(out('plain')));
});

test('gradients that travel as bfloat16: another result, the same for any number of workers', async () => {
  const settings = ['--set', 'training.wire=bfloat16'];
  for (const [name, workers] of [
    ['alone', []],
    ['by three', ['--workers', '3']],
  ] as const) {
    const run = out(`bfloat16 ${name}`);
    expect(await segfleet(['train', job(), '--out', run, ...settings, ...workers])).toMatchObject({ code: 0, stderr: '' });
  }
  expect(resultOf(out('bfloat16 by three'))).toEqual(resultOf(out('bfloat16 alone')));
  expect(resultOf(out('bfloat16 alone')).digest).not.toBe(undisturbed.digest);
});

/** Does something, once, when an event has these fields. */
function when(fields: Record<string, unknown>, act: (child: Parameters<NonNullable<CliOptions['onLine']>>[1]) => void): CliOptions {
  let done = false;
  return {
    onLine: (line, child) => {
      const event = JSON.parse(line);
      if (done || !Object.entries(fields).every(([key, value]) => event[key] === value)) return;
      done = true;
      act(child);
    },
  };
}

describe('while it runs', () => {
  test('one worker is killed and another one added', async () => {
    const run = out('elastic');
    let endpoint = '';
    let added: Promise<Finished> | undefined;
    const { code, stderr, stdout } = await segfleet(['train', job(), '--out', run, '--workers', '2', '--json'], {
      onLine: (line, child) => {
        const event = JSON.parse(line);
        if (event.event === 'listening') endpoint = event.endpoint;
        if (event.event === 'step' && event.step === 2) process.kill(workersOf(child.pid!).get('w2')!, 'SIGKILL');
        if (event.event === 'lost') added = segfleet(['worker', job(), '--join', endpoint, '--out', run, '--id', 'late']);
      },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(await added).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('late: the run is finished') });
    expect(resultOf(run)).toEqual(undisturbed);
    const record = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'));
    expect(record.fleet.latest).toMatchObject({
      step: expect.any(Number),
      workers: expect.arrayContaining([
        { worker: 'w1', rank: expect.any(Number), lanes: expect.any(Number), seconds: expect.any(Number), lateMs: expect.any(Number) },
      ]),
    });
    expect(record.fleet.library).toMatch(/^TensorFlow \d+\.\d+\.\d+, .+, float32, \d+ threads, gradients [\da-f]{12}$/);
    expect(record.fleet.lost).toEqual([
      { worker: 'w2', afterStep: expect.any(Number), at: expect.stringMatching(/^\d{4}-/), why: expect.any(String) },
    ]);
    expect(record.fleet.sizes.map(({ workers }: { workers: number }) => workers)).toEqual([2, 1, 2]);
    const crews = eventsOf({ stdout } as Finished).filter(({ event }) => event === 'workers') as unknown as { workers: { id: string }[] }[];
    expect(crews.some(({ workers }) => workers.some(({ id }) => id === 'late'))).toBe(true);
  });

  test('the only worker is killed: it is started again and begins where it must', async () => {
    const run = out('alone and killed');
    const kill = when({ event: 'step', step: 4 }, child => process.kill(workersOf(child.pid!).get('w1')!, 'SIGKILL'));
    expect(await segfleet(['train', job(), '--out', run, '--workers', '1', '--json'], kill)).toMatchObject({ code: 0, stderr: '' });
    expect(resultOf(run)).toEqual(undisturbed);
  });
});

describe('stopped and resumed', () => {
  test.each([
    ['3 workers by SIGTERM, resumed by 2', '3', 'SIGTERM', { event: 'step', step: 4 }, ['--workers', '2']],
    ['2 workers by SIGINT as an epoch ends, resumed in one process', '2', 'SIGINT', { event: 'step', step: 6 }, []],
    ['2 workers by SIGKILL, resumed by 4', '2', 'SIGKILL', { event: 'step', step: 5 }, ['--workers', '4']],
    ['one process by SIGTERM, resumed by 2 workers', undefined, 'SIGTERM', { event: 'step', step: 5 }, ['--workers', '2']],
  ] as const)('%s', async (name, workers, signal, at, again) => {
    const run = out(name);
    let crew: number[] = [];
    const stop = when(at, child => {
      crew = [...workersOf(child.pid!).values()];
      child.kill(signal);
    });
    const stopped = await segfleet(['train', job(), '--out', run, ...(workers ? ['--workers', workers] : []), '--json'], stop);
    expect(stopped).toMatchObject({ stderr: '', ...(signal === 'SIGKILL' ? { signal } : { code: signal === 'SIGTERM' ? 75 : 130 }) });
    if (signal !== 'SIGKILL') {
      const { step } = (eventsOf(stopped).at(-1) as unknown as { error: { details: { step: number } } }).error.details;
      expect(step).toBeGreaterThanOrEqual(at.step);
      expect((await newestCheckpoint(run)).position.step).toBe(step);
    }
    expect(await segfleet(['train', job(), '--out', run, '--resume', ...again])).toMatchObject({ code: 0, stderr: '' });
    expect(resultOf(run)).toEqual(undisturbed);
    expect(crew).toHaveLength(Number(workers ?? 0));
    expect(crew.filter(isAlive)).toEqual([]);
  });

  test('by a second signal it ends at once, its workers too, and still resumes', async () => {
    const run = out('twice');
    let crew: number[] = [];
    const { code } = await segfleet(
      ['train', job(), '--out', run, '--workers', '2', '--json'],
      when({ event: 'step', step: 4 }, child => {
        crew = [...workersOf(child.pid!).values()];
        child.kill('SIGINT');
        child.kill('SIGTERM');
      }),
    );
    expect(code).toBe(130);
    expect(await segfleet(['train', job(), '--out', run, '--resume', '--workers', '2'])).toMatchObject({ code: 0, stderr: '' });
    expect(resultOf(run)).toEqual(undisturbed);
    expect(crew.filter(isAlive)).toEqual([]);
  });
});

test('a loss that is not a number on one worker stops all before anything of the step is applied, and names the images of its lane', async () => {
  const run = out('diverging');
  await drawDataSet(out('dark'), 15, 16, 16);
  const black = await pngOf(new Uint8Array(16 * 16 * 3), 16, 16, 3);
  for (let i = 0; i < 15; i++) writeFileSync(join(out('dark'), 'images', `case${String(i).padStart(2, '0')}.png`), black);
  const settings = ['--set', 'data.path=dark', '--set', 'training.epochs=1'];
  expect(await segfleet(['train', job(), '--out', run, ...settings])).toMatchObject({ code: 0 });
  // The first image of the second step, in the first lane, is white, and the first weights so large that white overflows and black does not.
  const { state, position } = await newestCheckpoint(run);
  const course = await Course.open(loadJob(job(), ['data.path=dark']).job, folder);
  const [white] = course.idsOf(course.batches(2)[1]);
  expect(white).toBeDefined();
  writeFileSync(join(out('dark'), 'images', `${white}.png`), await pngOf(new Uint8Array(16 * 16 * 3).fill(255), 16, 16, 3));
  (state.get('encoder1/first/convolution/kernel')!.data as Float32Array).fill(3e38);
  await writeCheckpoint(run, 'small', state, position);
  const record = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'));
  delete record.data.digest;
  writeFileSync(join(run, 'run.json'), JSON.stringify(record));
  const again = ['train', job(), '--out', run, '--set', 'data.path=dark', '--resume', '--workers', '2', '--json'];
  const stopped = await segfleet(again);
  expect(stopped.code).toBe(8);
  const { error } = eventsOf(stopped).at(-1) as unknown as { error: { message: string; details: { images: string[] } } };
  expect(error.message).toMatch(/^the (loss|gradient) is NaN at step 5 \(epoch 2\), on the images /);
  expect(error.details.images).toEqual([white]);
  expect((await newestCheckpoint(run)).position.step).toBe(3);
  const steps = readFileSync(join(run, 'metrics.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line).step ?? 0);
  expect(Math.max(...steps)).toBe(4);
});

describe('is refused', () => {
  test('more workers than lanes', async () => {
    const { code, stderr } = await segfleet(['train', job(), '--out', out('many'), '--workers', '5']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: --workers 5 is more than training.lanes, 4; .*--set training.lanes=5\n$/);
  });

  test('a worker with other data, another job or other bits, with what differs; the run goes on', async () => {
    const run = out('refusing');
    const longer = ['--set', 'training.epochs=100000'];
    cpSync(out('data'), out('other'), { recursive: true });
    cpSync(join(out('data'), 'images', 'case01.png'), join(out('other'), 'images', 'case00.png'));
    writeJob(folder, readFileSync(job(), 'utf8').replace('path: "data"', 'path: "other"'), 'other.yaml');
    writeJob(folder, readFileSync(job(), 'utf8').replace('seed: 3', 'seed: 4'), 'seed.yaml');
    let endpoint = '';
    let refused: Promise<Finished[]> | undefined;
    let areRefused = false;
    const trained = await segfleet(['train', job(), '--out', run, '--workers', '1', '--json', ...longer], {
      onLine: (line, child) => {
        const { event, ...said } = JSON.parse(line);
        if (event === 'listening') endpoint = said.endpoint;
        if (event !== 'step') return;
        if (areRefused && !child.killed) child.kill('SIGINT');
        const join = (file: string, id = file, env = {}) =>
          segfleet(['worker', out(file), '--join', endpoint, '--out', run, '--id', id, ...longer], { env });
        // Not before the run has begun: what it is computed with is what the first worker has. Without oneDNN TensorFlow sums in another order.
        refused ??= Promise.all([
          join('other.yaml'),
          join('seed.yaml'),
          join('job.yaml', 'without', { TF_ENABLE_ONEDNN_OPTS: '0' }),
        ]).finally(() => {
          areRefused = true;
        });
      },
    });
    expect(trained).toMatchObject({ code: 130, stderr: '' });
    const [other, seed, without] = await refused!;
    expect(other).toMatchObject({ code: 7 });
    expect(other.stderr).toMatch(
      /^error: the data of other.yaml is [0-9a-f]{64}, that of the run is [0-9a-f]{64}; every worker needs the same data\n$/,
    );
    expect(seed).toMatchObject({ code: 7 });
    expect(seed.stderr).toMatch(
      /^error: the job of seed.yaml is [0-9a-f]{64}, that of the run is [0-9a-f]{64}; every worker needs the same job\n$/,
    );
    expect(without).toMatchObject({ code: 7 });
    expect(without.stderr).toMatch(
      /^error: the library of without is (TensorFlow .*, gradients )[\da-f]{12}, that of the run is \1[\da-f]{12}; every worker needs the same library\n$/,
    );
  });
});
