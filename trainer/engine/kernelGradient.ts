/**
 * The gradient of a convolution by its kernel. On processors with AVX-512, and on GPUs, TensorFlow's own operation is as fast as the
 * forward pass. On AVX2 alone it runs at half of that; there a 3x3 convolution at high resolution is better done as matrix products.
 */
import { addNode, currentGraph } from './backend.ts';
import { bool, type Output, type } from './graph.ts';
import { hasNvidiaDevice } from './library.ts';
import { cpuFlags } from './precision.ts';
import { int32, int32Scalar } from './tensor.ts';

const T = type('float32');
const integers = (...values: readonly number[]): Output => currentGraph().constant(int32(Int32Array.from(values), [values.length]));
const pad = (x: Output, before: readonly number[], after: readonly number[]): Output => {
  const paddings = currentGraph().constant(int32(Int32Array.from(before.flatMap((b, axis) => [b, after[axis]])), [before.length, 2]));
  return addNode('Pad', [x, paddings], { T, Tpaddings: type('int32') })[0];
};
const reshape = (x: Output, ...shape: readonly number[]): Output =>
  addNode('Reshape', [x, integers(...shape)], { T, Tshape: type('int32') })[0];
const rows = (x: Output, begin: number, count: number): Output =>
  addNode('Slice', [x, integers(begin, 0), integers(count, -1)], { T, Index: type('int32') })[0];

let avx2Only: boolean | undefined;

/** Whether `kernelGradientByProducts` is the faster way: measured on AVX2, for maps of at least 32x32 and sixteen channels. */
export function prefersProducts(x: readonly number[], kernel: readonly number[], stride: number): boolean {
  avx2Only ??= !hasNvidiaDevice() && !cpuFlags().has('avx512f');
  const [, height, width] = x;
  const [kernelHeight, kernelWidth, from, to] = kernel;
  return avx2Only && stride === 1 && kernelHeight === 3 && kernelWidth === 3 && height * width >= 1024 && from % 16 === 0 && to % 16 === 0;
}

/**
 * The gradient by a 3x3 kernel of a convolution of stride 1 with `SAME` padding: x [N,H,W,Cin], dy [N,H,W,Cout] -> [3,3,Cin,Cout].
 *
 * With both maps padded to W + 2 columns and laid out as rows of channels, going one pixel down is W + 2 rows, one to the right is one
 * row. So tap (i, j) is the product of x from row i (W + 2) + j on, transposed, and dy; the zeros of the padding of dy cut off
 * what would run over an edge. The three taps of a row are one product with three copies of dy side by side, each one row later.
 */
export function kernelGradientByProducts(x: Output, [images, height, width, from]: readonly number[], dy: Output, to: number): Output {
  const wide = width + 2;
  const numRows = images * (height + 2) * wide;
  const padded = reshape(pad(x, [0, 1, 1, 0], [0, 1, 1, 0]), numRows, from);
  const flat = reshape(pad(dy, [0, 0, 0, 0], [0, 2, 2, 0]), numRows, to);
  const used = numRows - 2 * wide; // the last rows of dy are padding
  const later = pad(flat, [2, 0], [0, 0]);
  const copies = [0, 1, 2].map(j => rows(later, 2 - j, used));
  const graph = currentGraph();
  const concatenate = (parts: Output[], axis: number) =>
    graph.output('ConcatV2', [parts, graph.constant(int32Scalar(axis))], { T, Tidx: type('int32') });
  const three = concatenate(copies, 1);
  const products = [0, 1, 2].map(i => {
    const [product] = addNode('MatMul', [rows(padded, i * wide, used), three], { T, transpose_a: bool(true), transpose_b: bool(false) });
    return reshape(product, 1, from, 3, to);
  });
  return addNode('Transpose', [concatenate(products, 0), integers(0, 2, 1, 3)], { T, Tperm: type('int32') })[0];
}
