import { expect, test } from 'vitest';
import { addNode, trace } from '../../../trainer/engine/backend.ts';
import { Graph, ints, string, type } from '../../../trainer/engine/graph.ts';
import { kernelGradientByProducts } from '../../../trainer/engine/kernelGradient.ts';
import { Session } from '../../../trainer/engine/session.ts';
import { float32, int32 } from '../../../trainer/engine/tensor.ts';
import { relativeDifference, uniform } from '../../tools/numbers.ts';

test.each([
  [1, 4, 4, 2, 3],
  [2, 5, 7, 3, 2],
  [3, 32, 16, 16, 32],
  [1, 1, 1, 4, 4],
])(
  'as matrix products, for %i images of %ix%i with %i to %i channels, it is what TensorFlow computes',
  async (images, height, width, from, to) => {
    const graph = new Graph();
    const shapes = [
      [images, height, width, from],
      [images, height, width, to],
    ];
    const [x, dy] = shapes.map(shape => graph.placeholder('float32', shape));
    const outputs = trace(graph, () => {
      const shape = graph.constant(int32(Int32Array.of(3, 3, from, to)));
      const attributes = { T: type('float32'), strides: ints(1, 1, 1, 1), padding: string('SAME') };
      return [kernelGradientByProducts(x, shapes[0], dy, to), ...addNode('Conv2DBackpropFilter', [x, shape, dy], attributes)];
    });
    const session = new Session(graph, { threads: 2 });
    const feeds = [x, dy].map(
      (output, i) =>
        [
          output,
          float32(
            uniform(
              shapes[i].reduce((a, b) => a * b),
              `input${i}`,
            ),
            shapes[i],
          ),
        ] as const,
    );
    const [products, native] = await session.run(feeds, outputs);
    await session.close();
    expect(products.shape).toEqual([3, 3, from, to]);
    expect(relativeDifference(products.data as Float32Array, native.data as Float32Array)).toBeLessThan(1e-5);
  },
);
