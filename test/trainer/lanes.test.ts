/**
 * A batch in lanes: what each holds, that their sums are those of the whole batch, and that nothing depends on who computes which lane.
 */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { openMesh } from '../../coordinator/exchange/mesh.ts';
import type { BucketOptions } from '../../coordinator/exchange/plan.ts';
import type { Batch } from '../../trainer/data/batch.ts';
import { float32, type HostTensor } from '../../trainer/engine/tensor.ts';
import { addInto, cutIntoLanes, foldLanes, type Lane, stepInLanes, sumContributions } from '../../trainer/lanes.ts';
import { defaultLoss, type LossName, type LossSpec, losses, lossSchema, sortsPixels } from '../../trainer/losses/catalogue.ts';
import { createNetwork } from '../../trainer/models/catalogue.ts';
import type { Network } from '../../trainer/models/layers.ts';
import { Program, type ProgramOptions } from '../../trainer/program.ts';
import { wires } from '../../trainer/wire.ts';
import { batches, cases, digestOf, programOptions } from '../tools/kerasCase.ts';
import { bitsOf, evenly, laneValues, referenceSum } from '../tools/lanes.ts';
import { relativeDifference, uniform } from '../tools/numbers.ts';

describe('a batch is cut', () => {
  const image = { height: 1, width: 2, channels: 1 };
  const batch = (count: number): Batch => ({
    count,
    images: Uint8Array.from({ length: 2 * count }, (_, i) => i),
    labels: Uint8Array.from({ length: 2 * count }, (_, i) => i % 2),
  });

  test.each([
    [8, 4, [2, 2, 2, 2]],
    [7, 4, [2, 2, 2, 1]],
    [3, 4, [1, 1, 1, 0]],
    [5, 1, [5]],
  ])('%i images into %i lanes of %j', (count, numLanes, expected) => {
    const lanes = cutIntoLanes(batch(count), image, numLanes);
    expect(lanes.map(lane => lane.batch.count)).toEqual(expected);
    expect(lanes.flatMap(lane => [...lane.batch.images])).toEqual([...batch(count).images]);
    expect(lanes.flatMap(lane => [...lane.batch.labels])).toEqual([...batch(count).labels]);
  });
});

describe('sums over lanes run along one tree', () => {
  test.each([
    [2, '(01)'],
    [3, '((01)2)'],
    [4, '((01)(23))'],
    [5, '(((01)(23))4)'],
    [7, '(((01)(23))((45)6))'],
  ])('of %i lanes: %s', (numLanes, shape) => {
    const leaves = Array.from({ length: numLanes }, (_, lane) => String(lane));
    expect(foldLanes(leaves, (a, b) => `(${a}${b})`)).toBe(shape);
  });

  test('every leaf once, in order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), numLanes => {
        const leaves = Array.from({ length: numLanes }, (_, lane) => [lane]);
        expect(foldLanes(leaves, (a, b) => [...a, ...b])).toEqual(leaves.flat());
      }),
    );
  });
});

test.each(wires)('contributions are summed with gradients as they travel, and what follows them exact (%s)', wire => {
  for (const numLanes of [1, 2, 3, 5, 8]) {
    const parts = Array.from({ length: numLanes }, (_, lane) => laneValues(lane, 0, 0, 300));
    const expected = Float32Array.of(
      ...referenceSum(
        parts.map(values => values.subarray(0, 290)),
        wire,
      ),
      ...referenceSum(parts.map(values => values.subarray(290))),
    );
    expect(bitsOf(sumContributions(parts, 290, wire))).toBe(bitsOf(expected));
  }
});

const open: Program[] = [];
afterEach(async () => {
  for (const program of open.splice(0)) await program.close();
});
async function create(options: ProgramOptions): Promise<Program> {
  const program = await Program.create(options);
  open.push(program);
  return program;
}

const data = batches();
const at = { step: 1, learningRate: 1e-3 };
const full: ProgramOptions = {
  ...programOptions(cases[2]),
  network: createNetwork({ name: 'unet', width: 16, dropout: 0.5, batchNormMomentum: 0.9 }, 1),
  clipNorm: 0.5,
};

/** Without batch norm and dropout: then a batch in lanes is the batch as a whole. */
const plain: Network = (layers, image) => {
  const hidden = layers.relu(layers.convolution('hidden', layers.input(image), { filters: 8, l2: 0.01 }));
  const coarse = layers.convolution('coarse', layers.averagePool(hidden, 2), { filters: 1 });
  return [layers.convolution('head', hidden, { filters: 1, size: 1 }), coarse];
};

describe('one lane', () => {
  test.each([
    ['U-Net with dropout, weight decay and clipping', full],
    [
      'a network with L2 penalties and a coarser output',
      { ...full, network: plain, heads: { loss: defaultLoss('tversky'), weights: [0.5] } },
    ],
    ['a loss of images', { ...full, loss: lossSchema.parse({ name: 'adaptiveLog', pool: 'image' }) }],
  ] as [string, ProgramOptions][])('%s: contributed and applied gives the bits of a step in one run', async (_, options) => {
    const [whole, parted] = [await create(options), await create(options)];
    const results = [];
    for (const step of [1, 2, 3]) {
      results.push([await whole.step(data[step - 1], { ...at, step }), await stepInLanes(parted, data[step - 1], 1, { ...at, step })]);
    }
    for (const [a, b] of results) expect(b).toEqual(a);
    expect(digestOf(await parted.state())).toBe(digestOf(await whole.state()));
  });
});

describe('several lanes', () => {
  const names = Object.keys(losses) as LossName[];
  const head = { loss: defaultLoss('dice'), weights: [1] };
  const inOne = names.filter(name => !sortsPixels(defaultLoss(name))).map(name => [name, 'batch'] as const);
  const ofEach = names.map(name => [name, 'image'] as const);

  test.each([...inOne, ...ofEach])('%s, pool %s: the step of four lanes is the step of the whole batch', async (name, pool) => {
    const loss = { ...defaultLoss(name), pool } as LossSpec;
    const options = { ...full, network: plain, loss, heads: { ...head, loss: { ...head.loss, pool } as LossSpec }, clipNorm: undefined };
    const [whole, parted] = [await create(options), await create(options)];
    const [expected, actual] = [await whole.step(data[0], at), await stepInLanes(parted, data[0], 4, at)];
    expect(actual.loss).toBeCloseTo(expected.loss, 4);
    expect(actual.gradientNorm / expected.gradientNorm).toBeCloseTo(1, 4);
    expect(actual.logShare).toEqual(expected.logShare);
    const [before, after] = [await whole.weights(), await parted.weights()];
    for (const [key, { data: values }] of before) {
      expect(relativeDifference(after.get(key)!.data as Float32Array, values as Float32Array), key).toBeLessThan(1e-4);
    }
  });

  test('ignored pixels are counted over all lanes', async () => {
    const labels = data[0].labels.map((label, i) => (i % 3 === 0 || i < 3000 ? 255 : label));
    const options = { ...full, network: plain, ignore: true, loss: defaultLoss('crossEntropy'), heads: { ...head, weights: [0] } };
    const [whole, parted] = [await create(options), await create(options)];
    const batch = { ...data[0], labels };
    const [expected, actual] = [await whole.step(batch, at), await stepInLanes(parted, batch, 2, at)];
    expect(actual.loss).toBeCloseTo(expected.loss, 5);
    expect(actual.gradientNorm / expected.gradientNorm).toBeCloseTo(1, 4);
  });

  test('draw each their own dropout, take statistics of their own images, and give the same bits every time', async () => {
    const digests = [];
    for (const numLanes of [1, 2, 2, 4]) {
      const program = await create(full);
      for (const step of [1, 2]) await stepInLanes(program, data[step - 1], numLanes, { ...at, step });
      digests.push(digestOf(await program.state()));
    }
    expect(digests[2]).toBe(digests[1]);
    expect(new Set(digests).size).toBe(3);
  });

  test('move a moving average towards the mean over images of the statistics of each lane', async () => {
    const options = { ...full, network: createNetwork({ name: 'unet', width: 16, dropout: 0, batchNormMomentum: 0 }, 1) };
    const name = 'encoder1/first/batchNorm/mean';
    const meanOf = async (batch: Batch, numLanes: number) => {
      const program = await create(options);
      await stepInLanes(program, batch, numLanes, { ...at, learningRate: 0 });
      return (await program.weights()).get(name)!.data as Float32Array;
    };
    const [three, lanes] = [
      { ...data[0], count: 3, images: data[0].images.slice(0, 3 * 12_288), labels: data[0].labels.slice(0, 3 * 4096) },
      2,
    ];
    const parts = cutIntoLanes(three, options.image, lanes).map(({ batch }) => batch); // of two images and of one
    const [first, second] = [await meanOf(parts[0], 1), await meanOf(parts[1], 1)];
    const together = await meanOf(three, lanes);
    for (const i of first.keys()) expect(together[i]).toBeCloseTo((2 * first[i] + second[i]) / 3, 5);
  });
});

describe('whoever computes them', () => {
  /** Computes lanes in groups, each in a program of its own, as workers would; sums meet between them. */
  async function inGroups(groups: readonly (readonly number[])[], numLanes: number, steps: number): Promise<string> {
    const programs = await Promise.all(groups.map(() => create(full)));
    for (let step = 1; step <= steps; step++) {
      const batch =
        step === 2
          ? { ...data[1], count: 3, images: data[1].images.slice(0, 3 * 12_288), labels: data[1].labels.slice(0, 3 * 4096) }
          : data[step - 1];
      const lanes = cutIntoLanes(batch, full.image, numLanes);
      const meeting = new Meeting(groups);
      const contributions = new Array<Float32Array>(numLanes);
      await Promise.all(
        programs.map(async (program, g) => {
          const own: Lane[] = groups[g].map(lane => lanes[lane]);
          const ticket = { generation: 1, step };
          const parts = await program.contribute(own, { ticket, images: batch.count, meet: values => meeting.join(groups[g], values) });
          for (const [i, lane] of groups[g].entries()) contributions[lane] = parts[i];
        }),
      );
      const sum = foldLanes(contributions, (a, b) => addInto(a.slice(), b));
      for (const program of programs) await program.apply([sum], { ...at, step });
    }
    const digests = await Promise.all(programs.map(async program => digestOf(await program.state())));
    expect(new Set(digests).size).toBe(1);
    return digests[0];
  }

  /** Where the parts of a sum from all groups meet. */
  class Meeting {
    readonly #groups: readonly (readonly number[])[];
    #parts = new Map<number, HostTensor>();
    #whole = Promise.withResolvers<HostTensor>();

    constructor(groups: readonly (readonly number[])[]) {
      this.#groups = groups;
    }

    join(lanes: readonly number[], values: readonly HostTensor[]): Promise<HostTensor> {
      for (const [i, lane] of lanes.entries()) this.#parts.set(lane, values[i]);
      const whole = this.#whole;
      const order = this.#groups.flat().sort((a, b) => a - b);
      if (order.every(lane => this.#parts.has(lane))) {
        const leaves = order.map(lane => (this.#parts.get(lane)!.data as Float32Array).slice());
        const { shape } = values[0];
        this.#parts = new Map();
        this.#whole = Promise.withResolvers();
        whole.resolve(float32(foldLanes(leaves, addInto), shape));
      }
      return whole.promise;
    }
  }

  test('one, two, three or four groups give the same bits, a short batch among them', async () => {
    const digests = [];
    for (const groups of [
      [[0, 1, 2, 3]],
      [
        [0, 1],
        [2, 3],
      ],
      [[0], [1, 2, 3]],
      [[0, 1], [2], [3]],
      [[0], [1], [2], [3]],
    ]) {
      digests.push(await inGroups(groups, 4, 3));
      for (const program of open.splice(0)) await program.close();
    }
    expect(new Set(digests).size).toBe(1);
  });
});

test('gradients that are rounded between one, two or three workers give the bits of one process that rounds them', async () => {
  const options = { ...full, loss: lossSchema.parse({ name: 'dice', pool: 'image' }) };
  const [inOne, inMeshes, exact] = [await create(options), await create(options), await create(options)];
  await stepInLanes(inOne, data[0], 3, at, 'bfloat16');
  await stepInLanes(exact, data[0], 3, at);

  const meet = () => Promise.reject(new Error('a loss of images needs no sum in the middle'));
  const lanes = cutIntoLanes(data[0], options.image, 3);
  const contributions = await inMeshes.contribute(lanes, { ticket: { generation: 1, step: 1 }, images: data[0].count, meet });
  const lengths = inMeshes.buckets(20_000);
  const buckets = lengths.map((length, b): BucketOptions => (b < lengths.length - 1 ? { length, wire: 'bfloat16' } : { length }));
  const sums = [];
  for (const workers of [1, 2, 3]) sums.push(...(await sumInMesh(contributions, workers, buckets)));
  expect(new Set(sums.map(ofBuckets => ofBuckets.map(bitsOf).join())).size).toBe(1);
  await inMeshes.apply(sums[0], at);

  expect(digestOf(await inMeshes.state())).toBe(digestOf(await inOne.state()));
  expect(digestOf(await exact.state())).not.toBe(digestOf(await inOne.state()));
});

/** What each worker of a mesh has in the end. */
async function sumInMesh(
  contributions: readonly Float32Array[],
  workers: number,
  buckets: readonly BucketOptions[],
): Promise<Float32Array[][]> {
  const ranges = evenly(contributions.length, workers);
  const common = { run: 'test', generation: 1, ranges, buckets, listen: 'tcp://127.0.0.1:*', trustNetwork: true };
  const meshes = await Promise.all(ranges.map((_, rank) => openMesh({ ...common, rank })));
  const endpoints = meshes.map(({ endpoint }) => endpoint);
  await Promise.all(meshes.map(mesh => mesh.connect(endpoints)));
  const totals = await Promise.all(
    meshes.map((mesh, rank) => {
      const step = mesh.begin(0);
      for (let lane = ranges[rank].start; lane < ranges[rank].end; lane++) {
        let from = 0;
        for (const [b, { length }] of buckets.entries()) {
          step.add(lane, b, contributions[lane].subarray(from, from + length));
          from += length;
        }
      }
      return step.total();
    }),
  );
  const copies = totals.map(sums => sums.map(sum => sum.slice()));
  await Promise.all(meshes.map(mesh => mesh.close()));
  return copies;
}

describe('in buckets while the lanes still compute', () => {
  const bucketLength = 50_000;
  const three = { ...data[0], count: 3, images: data[0].images.slice(0, 3 * 12_288), labels: data[0].labels.slice(0, 3 * 4096) };
  const lossOf = (pool: 'batch' | 'image') => lossSchema.parse({ name: 'dice', pool });
  const unet = (pool: 'batch' | 'image'): ProgramOptions => ({ ...full, loss: lossOf(pool) });
  const withHead = (pool: 'batch' | 'image'): ProgramOptions => ({
    ...unet(pool),
    network: plain,
    heads: { loss: lossOf(pool), weights: [0.5] },
  });
  const optionsFor = (batch: Batch, step: number) => ({
    ticket: { generation: 1, step },
    images: batch.count,
    meet: async (parts: readonly HostTensor[]) => {
      const leaves = parts.map(part => (part.data as Float32Array).slice());
      return float32(foldLanes(leaves, addInto), parts[0].shape);
    },
  });

  /** Keeps what is delivered, by lane and bucket, and in which order. */
  function collector(program: Program, onDeliver = (_lane: number, _bucket: number) => {}) {
    const lengths = program.buckets(bucketLength);
    const places = new Map<string, Float32Array>();
    const order: [lane: number, bucket: number][] = [];
    const place = (lane: number, bucket: number) => {
      const key = `${lane} ${bucket}`;
      if (!places.has(key)) places.set(key, new Float32Array(lengths[bucket]).fill(Number.NaN));
      return places.get(key)!;
    };
    const deliver = (lane: number, bucket: number, values: Float32Array) => {
      expect(values).toBe(place(lane, bucket));
      order.push([lane, bucket]);
      onDeliver(lane, bucket);
    };
    const ofLane = (lane: number) => Float32Array.from(lengths.keys().flatMap(bucket => place(lane, bucket)));
    return { lengths, order, ofLane, stream: { bucketLength, place, deliver } };
  }

  test.each([
    ['a U-Net with dropout and clipping', unet('image'), data[0], 1, 0],
    ['the same in two lanes whose sums meet', unet('batch'), data[0], 2, 3],
    ['a network with L2 penalties and a coarser output', withHead('image'), data[0], 1, 0],
    ['the same in four lanes, one after the other', withHead('image'), data[0], 4, 0],
    ['the same in four lanes whose sums meet', withHead('batch'), data[0], 4, 6],
    ['a short batch with an empty lane', withHead('image'), three, 4, 0],
    ['the same, and sums meet', withHead('batch'), three, 4, 6],
    ['wrapped losses', { ...withHead('image'), loss: lossSchema.parse({ name: 'adaptiveLog', pool: 'image' }) }, data[0], 2, 0],
  ] as [string, ProgramOptions, Batch, number, number][])(
    '%s: the bits of the vector',
    async (_, options, batch, numLanes, numMeetings) => {
      const program = await create(options);
      const lanes = cutIntoLanes(batch, options.image, numLanes);
      expect(program.meetings(1)).toHaveLength(numMeetings);
      const whole = await program.contribute(lanes, optionsFor(batch, 1));
      const { lengths, order, ofLane, stream } = collector(program);
      expect(await program.contribute(lanes, { ...optionsFor(batch, 1), stream })).toEqual([]);
      for (const { lane } of lanes) expect(bitsOf(ofLane(lane))).toBe(bitsOf(whole[lane]));
      const all = lanes.flatMap(({ lane }) => lengths.map((_, bucket) => [lane, bucket]));
      expect(order.toSorted(([a, x], [b, y]) => a - b || x - y)).toEqual(all);
    },
  );

  test('the last layers come first', async () => {
    const program = await create(full);
    const { lengths, order, stream } = collector(program);
    await program.contribute(cutIntoLanes(data[0], full.image, 1), { ...optionsFor(data[0], 1), stream });
    const ofGradients = lengths.slice(0, -1).map((_, bucket) => bucket);
    expect(ofGradients.length).toBeGreaterThan(20);
    expect(order.map(([, bucket]) => bucket)).toEqual([...ofGradients.reverse(), lengths.length - 1]);
  });

  test.each([
    ['side by side', unet('batch')],
    ['one after the other', unet('image')],
  ])('what a delivery throws ends all lanes, %s, and the next step is as if nothing had been', async (_, options) => {
    const [program, other] = [await create(options), await create(options)];
    const lanes = cutIntoLanes(data[0], options.image, 2);
    const failing = collector(program, () => {
      if (failing.order.length === 3) throw new Error('not finite');
    });
    await expect(program.contribute(lanes, { ...optionsFor(data[0], 1), stream: failing.stream })).rejects.toThrow('not finite');
    expect(failing.order).toHaveLength(3);
    const [good, undisturbed] = [collector(program), collector(other)];
    await program.contribute(lanes, { ...optionsFor(data[0], 1), stream: good.stream });
    await other.contribute(lanes, { ...optionsFor(data[0], 1), stream: undisturbed.stream });
    for (const { lane } of lanes) expect(bitsOf(good.ofLane(lane))).toBe(bitsOf(undisturbed.ofLane(lane)));
  });

  test('lanes that a sum fails to reach deliver nothing more, and the next step is as if nothing had been', async () => {
    const options = withHead('batch');
    const program = await create(options);
    const lanes = cutIntoLanes(data[0], options.image, 4);
    const whole = await program.contribute(lanes, optionsFor(data[0], 1));
    // The first sum is right, the second one does not come, or is one that no lane can go on with.
    for (const second of [Promise.reject(new Error('a worker is gone')), Promise.resolve(float32(new Float32Array(2)))]) {
      second.catch(() => {});
      let meetings = 0;
      const meet = (parts: readonly HostTensor[]) => (meetings++ === 0 ? optionsFor(data[0], 1).meet(parts) : second);
      const { order, stream } = collector(program);
      await expect(program.contribute(lanes, { ...optionsFor(data[0], 1), meet, stream })).rejects.toThrow(/a worker is gone|TensorFlow/);
      expect(order).toEqual([]);
      const good = collector(program);
      await program.contribute(lanes, { ...optionsFor(data[0], 1), stream: good.stream });
      for (const { lane } of lanes) expect(bitsOf(good.ofLane(lane))).toBe(bitsOf(whole[lane]));
    }
  });
});

test('lanes that wait for a sum end when they are told to, and the next step is as if nothing had been', async () => {
  const [program, other] = [await create(full), await create(full)];
  const lanes = cutIntoLanes(data[0], full.image, 2);
  const controller = new AbortController();
  const stuck = program.contribute(lanes, {
    ticket: { generation: 1, step: 1 },
    images: 4,
    meet: () => {
      controller.abort(new Error('a worker is gone'));
      return Promise.reject(controller.signal.reason);
    },
    signal: controller.signal,
  });
  await expect(stuck).rejects.toThrow('a worker is gone');
  await stepInLanes(program, data[0], 2, at);
  await stepInLanes(other, data[0], 2, at);
  expect(digestOf(await program.state())).toBe(digestOf(await other.state()));
});

test('the sum is applied to the same bits by who has computed no lane', async () => {
  const [worker, newcomer] = [await create(full), await create(full)];
  const meet = async (parts: readonly HostTensor[]) => parts[0];
  const [sum] = await worker.contribute(cutIntoLanes(data[0], full.image, 1), { ticket: { generation: 1, step: 1 }, images: 4, meet });
  const results = [await worker.apply([sum], at), await newcomer.apply([sum], at)];
  expect(results[1]).toEqual(results[0]);
  expect(digestOf(await newcomer.state())).toBe(digestOf(await worker.state()));
});

test('eight lanes run side by side in one process', async () => {
  const options = { ...full, network: plain, heads: { loss: defaultLoss('dice'), weights: [1] } };
  const count = 8;
  const batch = {
    count,
    images: Uint8Array.from(uniform(count * 64 * 64 * 3, 'images', 0, 256)),
    labels: Uint8Array.from(uniform(count * 64 * 64, 'labels', 0, 2)),
  };
  const [whole, parted] = [await create(options), await create(options)];
  const [expected, actual] = [await whole.step(batch, at), await stepInLanes(parted, batch, 8, at)];
  expect(actual.loss).toBeCloseTo(expected.loss, 4);
});
