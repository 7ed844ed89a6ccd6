/**
 * The kernels of tfjs-node: they say which TensorFlow operations make up a tfjs function, and call a `binding` to run them.
 * Their own native add-on is never loaded; `npm run build` bundles this file, so that the published package does not
 * need theirs, whose install script downloads a library from a host that is gone.
 */
import util from 'node:util';
import { NodeJSKernelBackend } from '@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js';
import '@tensorflow/tfjs-node-gpu/dist/register_all_kernels.js';

// Version 4.22 calls both; Node 23 dropped the first and warns at the second.
Object.assign(util, { isNullOrUndefined: (value: unknown) => value === null || value === undefined, isArray: Array.isArray });

export { NodeJSKernelBackend };
