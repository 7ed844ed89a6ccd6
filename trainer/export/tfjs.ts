/**
 * A recorded network as a TensorFlow.js layers model: `model.json` with the layers, `weights.bin` with the weights. Its layout is
 * TensorFlow's: images and probabilities are [N,H,W,C].
 */
import * as tf from '@tensorflow/tfjs';
import type { ImageShape } from '../data/batch.ts';
import type { HostTensor } from '../engine/tensor.ts';
import { SegfleetError } from '../errors.ts';
import type { Tensors } from '../storage/safetensors.ts';
import type { ModelDescription } from './description.ts';
import { type Node, nodeName, type Recording } from './record.ts';

export interface LayersModelFiles {
  readonly 'model.json': string;
  readonly 'weights.bin': Uint8Array;
}

export async function encodeLayersModel(recording: Recording, weights: Tensors, description: ModelDescription): Promise<LayersModelFiles> {
  const before = tf.getBackend();
  await tf.setBackend('cpu'); // layers hold values, which a graph that is being built does not
  try {
    const model = buildModel(recording, weights);
    model.setUserDefinedMetadata({ ...description.metadata });
    let files: LayersModelFiles | undefined;
    await model.save({
      save: async artifacts => {
        files = filesOf(artifacts);
        return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
      },
    });
    model.dispose();
    return files!;
  } finally {
    if (before) await tf.setBackend(before);
  }
}

function filesOf({
  modelTopology,
  weightSpecs,
  weightData,
  userDefinedMetadata,
  format,
  generatedBy,
}: tf.io.ModelArtifacts): LayersModelFiles {
  const weightsManifest = [{ paths: ['weights.bin'], weights: weightSpecs }];
  return {
    'model.json': JSON.stringify({ format, generatedBy, convertedBy: null, modelTopology, weightsManifest, userDefinedMetadata }),
    'weights.bin': new Uint8Array(weightData as ArrayBuffer),
  };
}

function buildModel({ nodes }: Recording, weights: Tensors): tf.LayersModel {
  const values: tf.SymbolicTensor[] = [];
  for (const [index, node] of nodes.entries()) {
    if (node.kind === 'image') {
      const { height, width, channels } = node.shape;
      values.push(tf.input({ shape: [height, width, channels], name: 'image' }));
      continue;
    }
    const inputs = node.inputs.map(input => values[input]);
    // A slash would be taken for the name of a scope.
    const name = index === nodes.length - 1 ? 'probabilities' : nodeName(node, index).replaceAll('/', '_');
    const layer = createLayer(node, name, nodes[node.inputs[0]].shape);
    values.push(layer.apply(inputs.length === 1 ? inputs[0] : inputs) as tf.SymbolicTensor);
    tf.tidy(() => layer.setWeights(weightNames(node).map(weight => tensorOf(weights.get(weight)!))));
  }
  return tf.model({ inputs: values[0], outputs: values.at(-1)! });
}

const tensorOf = ({ data, shape }: HostTensor): tf.Tensor => tf.tensor(data as Float32Array, [...shape]);

/** In the order in which the layer keeps them. */
function weightNames(node: Node): string[] {
  switch (node.kind) {
    case 'convolution':
      return [`${node.name}/kernel`, ...(node.bias ? [`${node.name}/bias`] : [])];
    case 'transposedConvolution':
      return [`${node.name}/kernel`, `${node.name}/bias`];
    case 'batchNorm':
      return ['scale', 'offset', 'mean', 'variance'].map(role => `${node.name}/${role}`);
    default:
      return [];
  }
}

function createLayer(node: Exclude<Node, { kind: 'image' }>, name: string, input: ImageShape): tf.layers.Layer {
  switch (node.kind) {
    case 'convolution':
    case 'transposedConvolution': {
      const { size, stride, shape } = node;
      // Weights come after: none need be drawn.
      const options = {
        name,
        filters: shape.channels,
        kernelSize: size,
        strides: stride,
        padding: 'same',
        kernelInitializer: 'zeros',
      } as const;
      return node.kind === 'convolution' ? tf.layers.conv2d({ ...options, useBias: node.bias }) : tf.layers.conv2dTranspose(options);
    }
    case 'batchNorm':
      if (node.statistics === 'batch') {
        throw new SegfleetError(
          'usage',
          'this network normalises by the statistics of the images predicted together, and TensorFlow.js has no such layer; export to onnx, or train with model.batchNormInference: moving',
        );
      }
      return tf.layers.batchNormalization({ name, epsilon: node.epsilon });
    case 'leakyRelu':
      return tf.layers.leakyReLU({ name, alpha: node.slope });
    case 'relu':
    case 'sigmoid':
    case 'softmax':
      return tf.layers.activation({ name, activation: node.kind });
    case 'concat':
      return tf.layers.concatenate({ name });
    case 'add':
      return tf.layers.add({ name });
    case 'multiply':
      return tf.layers.multiply({ name });
    case 'maxPool':
      return tf.layers.maxPooling2d({ name, poolSize: node.factor });
    case 'averagePool':
      return tf.layers.averagePooling2d({ name, poolSize: node.factor });
    case 'globalAveragePool': // its own layer would drop the axes of length one
      return tf.layers.averagePooling2d({ name, poolSize: [input.height, input.width] });
    case 'upSample':
      return tf.layers.upSampling2d({ name, size: [node.factor, node.factor] });
  }
}
