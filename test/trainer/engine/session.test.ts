import { spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { bool, Graph, type } from '../../../trainer/engine/graph.ts';
import { Session } from '../../../trainer/engine/session.ts';
import { float32, float32Scalar, type HostTensor } from '../../../trainer/engine/tensor.ts';

const T = { T: type('float32') };

describe('a session', () => {
  test.each<[string, HostTensor]>([
    ['float32', float32(Float32Array.of(1.5, -2), [1, 2])],
    ['int32', { dtype: 'int32', shape: [2], data: Int32Array.of(7, -8) }],
    ['uint8', { dtype: 'uint8', shape: [3, 1], data: Uint8Array.of(0, 128, 255) }],
    ['int64', { dtype: 'int64', shape: [1], data: BigInt64Array.of(-(2n ** 40n)) }],
    ['a scalar', float32Scalar(3)],
    ['an empty tensor', float32(new Float32Array(0), [0, 5])],
  ])('gives back what is fed: %s', async (_, value) => {
    const graph = new Graph();
    const fed = graph.placeholder(value.dtype, value.shape);
    const same = graph.output('Identity', [fed], { T: type(value.dtype) });
    const session = new Session(graph, { threads: 1 });
    expect(await session.run([[fed, value]], [same])).toEqual([value]);
    await session.close();
  });

  test('runs nodes that were added after it was opened', async () => {
    const graph = new Graph();
    const two = graph.constant(float32Scalar(2));
    const session = new Session(graph, { threads: 1 });
    await session.run([], [two]);
    const four = graph.output('Mul', [two, two], T);
    expect((await session.run([], [four]))[0].data[0]).toBe(4);
    await session.close();
  });

  test('leaves the event loop free while it runs', async () => {
    const graph = new Graph();
    const side = 1200;
    const a = graph.placeholder('float32', [side, side]);
    let product = a;
    for (let i = 0; i < 4; i++)
      product = graph.output('MatMul', [product, a], { ...T, transpose_a: bool(false), transpose_b: bool(false) });
    const session = new Session(graph, { threads: 1 });
    let turns = 0;
    let running = true;
    const run = session.run([[a, float32(new Float32Array(side * side), [side, side])]], [product]).finally(() => {
      running = false;
    });
    while (running) {
      await new Promise(resolve => setImmediate(resolve));
      turns++;
    }
    await run;
    expect(turns).toBeGreaterThan(100);
    await session.close();
  });

  test("an error of TensorFlow's comes as an Error with its words, while building and while running", async () => {
    const graph = new Graph();
    const [a, b] = [2, 3].map(length => graph.constant(float32(new Float32Array(length))));
    expect(() => graph.output('AddV2', [a, b], T)).toThrow(/TensorFlow: Dimensions must be equal, but are 2 and 3/);
    const fed = graph.placeholder('float32', [2]);
    const session = new Session(graph, { threads: 1 });
    await expect(session.run([], [graph.output('Identity', [fed], T)])).rejects.toThrow(/TensorFlow: .*must feed a value/);
    await session.close();
  });
});

/** A script of its own, so that its end is the end of a process that loaded the library. */
function end(script: string): Promise<{ code: number | null; signal: string | null; stderr: string }> {
  const url = (name: string) => new URL(`../../../trainer/engine/${name}.ts`, import.meta.url).href;
  const head = `import { Graph, type } from '${url('graph')}'; import { Session } from '${url('session')}'; import { float32Scalar } from '${url('tensor')}';
    const graph = new Graph(); const two = graph.constant(float32Scalar(2)); const session = new Session(graph, { threads: 2 }); await session.run([], [two]);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', head + script], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', chunk => {
    stderr += chunk;
  });
  return new Promise(resolve => child.on('close', (code, signal) => resolve({ code, signal, stderr })));
}

describe('a process that loaded the library ends as it means to', () => {
  test.each([
    ['by itself, the session closed', 'await session.close();', 0],
    ['by itself, the session left open', '', 0],
    ['by process.exit', 'process.exit(3);', 3],
    ['by an exit code', 'await session.close(); process.exitCode = 75;', 75],
    ['by an error', 'await session.close(); throw new Error("as meant");', 1],
    ['while a run is in flight', 'void session.run([], [two]); process.exit(4);', 4],
  ])('%s', async (_, script, code) => {
    // Six times: a crash at exit is a race.
    for (const result of await Promise.all(Array.from({ length: 6 }, () => end(script)))) {
      expect(result).toMatchObject({ code, signal: null });
      if (code !== 1) expect(result.stderr).toBe('');
    }
  });
});
