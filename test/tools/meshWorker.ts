/**
 * A worker process of the exchange's tests: does what it is told over the channel to its parent, and answers each order once.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { type Mesh, type MeshOptions, openMesh, type Step } from '../../coordinator/exchange/mesh.ts';
import { laneValues } from './lanes.ts';

export type Order =
  | { readonly do: 'open'; readonly options: Omit<MeshOptions, 'signal' | 'broken'> }
  | { readonly do: 'connect'; readonly endpoints: readonly string[] }
  /** Sums steps with all their buckets, with new values in each; answers the digests of the sums. */
  | { readonly do: 'sum'; readonly from: number; readonly to: number; readonly delayMs?: number }
  /** The same with zeros, and no answer. */
  | { readonly do: 'sumZeros'; readonly from: number; readonly to: number }
  /** Begins a step and adds some buckets only. */
  | { readonly do: 'begin'; readonly step: number; readonly buckets: readonly number[] }
  | { readonly do: 'add'; readonly buckets: readonly number[] }
  /** Waits for a bucket of that step. */
  | { readonly do: 'wait'; readonly bucket: number }
  | { readonly do: 'abort'; readonly reason: string }
  | { readonly do: 'state' }
  /** Waits until a peer can no longer be reached; answers its rank. */
  | { readonly do: 'broken' }
  | { readonly do: 'close' }
  | { readonly do: 'exit'; readonly code: number };

export const digestOf = (numbers: Float32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength).slice())
    .digest('hex')
    .slice(0, 16);

let mesh: Mesh;
let options: MeshOptions;
let step: Step;
let number: number;
let controller: AbortController;
let broken: PromiseWithResolvers<number>;

function add(buckets: Iterable<number>): void {
  const { start, end } = options.ranges[options.rank];
  for (const bucket of buckets) {
    for (let lane = end - 1; lane >= start; lane--)
      step.add(lane, bucket, laneValues(lane, bucket, number, options.buckets[bucket].length));
  }
}

function begin(at: number, buckets: Iterable<number>): void {
  number = at;
  step = mesh.begin(at);
  add(buckets);
}

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'open':
      controller = new AbortController();
      broken = Promise.withResolvers();
      options = { ...order.options, signal: controller.signal, broken: broken.resolve };
      mesh = await openMesh(options);
      return mesh.endpoint;
    case 'connect':
      return mesh.connect(order.endpoints);
    case 'sum': {
      const digests: string[][] = [];
      for (let at = order.from; at < order.to; at++) {
        if (order.delayMs) await new Promise(resolve => setTimeout(resolve, order.delayMs));
        begin(at, options.buckets.keys());
        digests.push((await step.total()).map(digestOf));
      }
      return digests;
    }
    case 'sumZeros':
      for (let at = order.from; at < order.to; at++) {
        const { start, end } = options.ranges[options.rank];
        step = mesh.begin(at);
        for (let lane = start; lane < end; lane++) for (const bucket of options.buckets.keys()) step.add(lane, bucket);
        await step.total();
      }
      return undefined;
    case 'begin':
      return begin(order.step, order.buckets);
    case 'add':
      return add(order.buckets);
    case 'wait':
      return digestOf(await step.bucket(order.bucket));
    case 'abort':
      return controller.abort(new Error(order.reason));
    case 'state': {
      const residentKilobytes = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
      return { stats: mesh?.stats(), descriptors: readdirSync('/proc/self/fd').length, residentKilobytes };
    }
    case 'broken':
      return broken.promise;
    case 'close':
      return mesh.close();
    case 'exit':
      process.exit(order.code);
      break;
    default:
      return order satisfies never;
  }
}

process.on('message', async ({ id, order }: { id: number; order: Order }) => {
  try {
    process.send!({ id, answer: await obey(order) });
  } catch (error) {
    const { message, code, details } = error as { message: string; code?: string; details?: unknown };
    process.send!({ id, error: { message, code, details } });
  }
});
