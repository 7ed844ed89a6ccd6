import { afterEach, describe, expect, test } from 'vitest';
import { defaultLoss, type LossSpec } from '../../trainer/losses/catalogue.ts';
import { signedDistance } from '../../trainer/metrics/distance.ts';
import { createNetwork } from '../../trainer/models/catalogue.ts';
import { Program, type ProgramOptions, type State } from '../../trainer/program.ts';
import curves from '../fixtures/kerasCurves.json' with { type: 'json' };
import { batches, cases, digestOf, initialWeights, programOptions, steps } from '../tools/kerasCase.ts';

const unet = (options: { dropout?: number; batchNormMomentum?: number }) =>
  createNetwork({ name: 'unet', width: 16, dropout: 0, batchNormMomentum: 0.9, ...options }, 1);

const open: Program[] = [];
afterEach(async () => {
  for (const program of open.splice(0)) await program.close();
});

async function create(options: ProgramOptions, state?: State): Promise<Program> {
  const program = await Program.create(options, state);
  open.push(program);
  return program;
}

const data = batches();

/** Runs steps `first` to `last` and gives their losses. */
async function run(program: Program, learningRate: number, first: number, last: number): Promise<number[]> {
  const losses: number[] = [];
  for (let step = first; step <= last; step++) {
    losses.push((await program.step(data[(step - 1) % data.length], { step, learningRate })).loss);
  }
  return losses;
}

describe('twenty steps beside Keras, from the same weights on the same batches', () => {
  test('begin with the weights that the fixture was made from', () => {
    expect(digestOf(initialWeights())).toBe(curves.initialWeights);
  });

  test.each(cases)('$loss with $optimizer.name: every loss within 1e-4', async kerasCase => {
    const { loss, optimizer } = kerasCase;
    const expected = (curves.curves as Record<string, number[]>)[`${loss}, ${optimizer.name}`];
    const actual = await run(await create(programOptions(kerasCase)), optimizer.learningRate, 1, steps);
    expect(expected).toHaveLength(steps);
    for (const [i, value] of expected.entries()) expect(Math.abs(actual[i] - value) / value).toBeLessThan(1e-4);
  });
});

/** With dropout, weight decay and clipping: all that a step can have. */
const full: ProgramOptions = {
  ...programOptions(cases[2]),
  network: unet({ dropout: 0.5 }),
  clipNorm: 0.5,
};

describe('a program', () => {
  test('gives the same bits when it is run again', async () => {
    const digests: string[] = [];
    for (let i = 0; i < 2; i++) {
      const program = await create(full);
      await run(program, 1e-3, 1, 5);
      digests.push(digestOf(await program.state()));
    }
    expect(digests[1]).toBe(digests[0]);
  });

  test('goes on to the same bits from a copy of its state', async () => {
    const straight = await create(full);
    await run(straight, 1e-3, 1, 3);
    const half = await straight.state();
    await run(straight, 1e-3, 4, 6);
    const resumed = await create(full, half);
    await run(resumed, 1e-3, 4, 6);
    expect(digestOf(await resumed.state())).toBe(digestOf(await straight.state()));
  });

  test('another seed gives other weights, another step another dropout mask', async () => {
    const [a, b] = [await create(full), await create({ ...full, seed: 2 })];
    expect(digestOf(await b.weights())).not.toBe(digestOf(await a.weights()));
    const state = await a.state();
    const losses: number[] = [];
    for (const step of [1, 1, 2]) {
      await a.assign(state);
      losses.push((await a.step(data[0], { step, learningRate: 0 })).loss);
    }
    expect(losses[1]).toBe(losses[0]);
    expect(losses[2]).not.toBe(losses[0]);
  });

  test('takes batches of any size, each a step of its own in the one graph', async () => {
    const program = await create(full);
    const short = { count: 1, images: data[0].images.slice(0, 64 * 64 * 3), labels: data[0].labels.slice(0, 64 * 64) };
    for (const [i, batch] of [data[0], short, data[1], short].entries()) {
      expect((await program.step(batch, { step: i + 1, learningRate: 1e-3 })).loss).toSatisfy(Number.isFinite);
    }
    const { logits } = await program.predict(short);
    expect(logits).toHaveLength(64 * 64);
  });

  test('predicts each image by itself: moving statistics, no dropout', async () => {
    const program = await create(full);
    await run(program, 1e-3, 1, 3);
    const together = (await program.predict(data[0])).logits;
    for (let i = 0; i < 4; i++) {
      const alone = {
        count: 1,
        images: data[0].images.slice(i * 12_288, (i + 1) * 12_288),
        labels: data[0].labels.slice(i * 4096, (i + 1) * 4096),
      };
      const { logits } = await program.predict(alone);
      const difference = Math.max(...logits.map((value, k) => Math.abs(value - together[i * 4096 + k])));
      expect(difference).toBeLessThan(1e-4);
    }
  });

  test('moves the moving statistics by 1 - momentum towards those of the batch', async () => {
    const slow = await create({ ...full, network: unet({ batchNormMomentum: 0.75 }) });
    const fast = await create({ ...full, network: unet({ batchNormMomentum: 0 }) });
    for (const program of [slow, fast]) await program.step(data[0], { step: 1, learningRate: 0 });
    const name = 'encoder1/first/batchNorm/mean';
    const [moved, ofBatch] = await Promise.all(
      [slow, fast].map(async program => (await program.weights()).get(name)!.data as Float32Array),
    );
    // It began at 0.
    for (const [i, value] of ofBatch.entries()) expect(moved[i]).toBeCloseTo(0.25 * value, 6);
    expect(Math.max(...ofBatch.map(Math.abs))).toBeGreaterThan(0.01);
  });

  test('tells with adaptiveLog the share of images whose wrapped loss is below gamma', async () => {
    const options = programOptions(cases[0]);
    const ofEach = async (gamma: number) => {
      const loss = { ...options.loss, gamma, pool: 'image' } as LossSpec;
      return (await (await create({ ...options, loss })).step(data[0], { step: 1, learningRate: 1e-3 })).logShare;
    };
    const dice = { ...defaultLoss('dice'), pool: 'image' } as LossSpec;
    const program = await create({ ...options, loss: dice });
    // The four losses of the images lie around their mean: at that gamma some are below, some above.
    const mean = (await program.step(data[0], { step: 1, learningRate: 0 })).loss;
    expect(await ofEach(1)).toBe(1);
    expect(await ofEach(1e-6)).toBe(0);
    expect([0.25, 0.5, 0.75]).toContain(await ofEach(mean));
    expect((await program.step(data[0], { step: 1, learningRate: 0 })).logShare).toBeUndefined();
  });

  test('with ignored pixels, whatever stands there changes nothing', async () => {
    const program = await create({ ...programOptions(cases[0]), ignore: true });
    const ignored = data[0].labels.map((label, i) => (i % 3 === 0 ? 255 : label));
    const { loss } = await program.predict({ ...data[0], labels: ignored });
    expect(loss).not.toBe((await program.predict(data[0])).loss);
    const { logits } = await program.predict(data[0]);
    const probability = [...logits].map(z => 1 / (1 + Math.exp(-z)));
    const sum = (value: (p: number, t: number) => number) =>
      probability.reduce((total, p, i) => (ignored[i] === 255 ? total : total + value(p, ignored[i])), 0);
    const dice = 1 - (2 * sum((p, t) => p * t) + 1) / (sum(p => p) + sum((_, t) => t) + 1);
    expect(loss).toBeCloseTo(dice + 10 * Math.log(1.2) - 0.1, 4);
  });

  test('with the boundary loss feeds the distance maps of the masks', async () => {
    const program = await create({ ...programOptions(cases[0]), loss: defaultLoss('boundary') });
    const { logits, loss } = await program.predict(data[0]);
    let expected = 0;
    for (let n = 0; n < 4; n++) {
      const distances = signedDistance(data[0].labels.slice(n * 4096, (n + 1) * 4096), { height: 64, width: 64 });
      for (const [i, d] of distances.entries()) expected += d / (1 + Math.exp(-logits[n * 4096 + i])) / (4 * 4096);
    }
    expect(loss).toBeCloseTo(expected, 4);
  });

  test('made for prediction, refuses to train', async () => {
    const { optimizer, ...options } = full;
    const program = await create(options);
    await expect(program.step(data[0], { step: 1, learningRate: 1e-3 })).rejects.toThrow('made for prediction');
  });

  test('in bfloat16 learns as in float32, to the precision it has', async () => {
    const options = programOptions(cases[0]);
    const [low, high] = [
      await run(await create({ ...options, dtype: 'bfloat16' }), 1e-3, 1, 8),
      await run(await create(options), 1e-3, 1, 8),
    ];
    expect(low).not.toEqual(high);
    for (const [i, value] of high.entries()) expect(Math.abs(low[i] - value) / value).toBeLessThan(0.03);
    // The loss itself is float32: more digits than the eight bits of bfloat16.
    expect(low.some(value => Math.fround(value) !== Math.fround(Number(value.toPrecision(3))))).toBe(true);
  });
});
