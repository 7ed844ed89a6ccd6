/**
 * One worker of `npm run bench:exchange`: opens a mesh and times sums on request.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { type Mesh, openMesh } from '../../coordinator/exchange/mesh.ts';

export type Request =
  | { readonly type: 'open'; readonly options: Parameters<typeof openMesh>[0] }
  | { readonly type: 'connect'; readonly endpoints: readonly string[] }
  | { readonly type: 'time'; readonly repetitions: number }
  /** Steps that compute for so long, and have their buckets ready one after the other meanwhile; a computation that costs no processor. */
  | { readonly type: 'pace'; readonly repetitions: number; readonly computeMs: number }
  | { readonly type: 'close' };
export interface Timing {
  /** Of one sum. */
  readonly ms: number;
  readonly cpuSeconds: number;
}

let options: Parameters<typeof openMesh>[0];
let mesh: Mesh;
let next = 0;

async function sum(values?: (length: number) => Float32Array): Promise<Float32Array[]> {
  const step = mesh.begin(next++);
  // Without values they are in their place already, as the tensor of gloo is.
  const { start, end } = options.ranges[options.rank];
  for (const [bucket, { length }] of options.buckets.entries()) {
    for (let lane = start; lane < end; lane++) step.add(lane, bucket, values?.(length));
  }
  return step.total();
}

async function answer(request: Request): Promise<unknown> {
  switch (request.type) {
    case 'open':
      options = request.options;
      next = 0;
      mesh = await openMesh(options);
      return mesh.endpoint;
    case 'connect': {
      await mesh.connect(request.endpoints);
      const lanes = options.ranges.at(-1)!.end;
      for (const total of await sum(length => new Float32Array(length).fill(1))) {
        if (total.some(value => value !== lanes)) throw new Error('a wrong sum');
      }
      for (let i = 0; i < 2; i++) await sum();
      return undefined;
    }
    case 'time': {
      const cpu = process.cpuUsage();
      const start = performance.now();
      for (let i = 0; i < request.repetitions; i++) await sum();
      const ms = (performance.now() - start) / request.repetitions;
      const { user, system } = process.cpuUsage(cpu);
      return { ms, cpuSeconds: (user + system) / 1e6 / request.repetitions } satisfies Timing;
    }
    case 'pace': {
      const times: number[] = [];
      for (let i = 0; i < request.repetitions; i++) {
        const start = performance.now();
        const step = mesh.begin(next++);
        for (const bucket of options.buckets.keys()) {
          const dueMs = (request.computeMs * (bucket + 1)) / options.buckets.length;
          await wait(Math.max(0, start + dueMs - performance.now()));
          for (let lane = options.ranges[options.rank].start; lane < options.ranges[options.rank].end; lane++) step.add(lane, bucket);
        }
        await step.total();
        times.push(performance.now() - start);
      }
      return times;
    }
    case 'close':
      return mesh.close();
    default:
      return request satisfies never;
  }
}

process.on('message', async (request: Request) => {
  try {
    process.send!({ answer: await answer(request) });
  } catch (error) {
    process.send!({ error: String(error) });
  }
});
