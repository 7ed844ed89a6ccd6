/**
 * An exported layers model in a browser: loaded over HTTP by TensorFlow.js as it is published for pages.
 */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type * as tfjs from '@tensorflow/tfjs';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recordNetwork } from '../../trainer/export/record.ts';
import { encodeLayersModel } from '../../trainer/export/tfjs.ts';
import { type ModelName, modelSchema } from '../../trainer/models/catalogue.ts';
import { openChromium } from '../tools/chromium.ts';
import { type ExportedCase, exportedCase, largestDifference } from '../tools/exported.ts';

declare const tf: typeof tfjs;

const files = new Map<string, Uint8Array | string>([
  ['/', '<!doctype html><title>model</title><script src="tf.js"></script>'],
  ['/tf.js', readFileSync(new URL('../../node_modules/@tensorflow/tfjs/dist/tf.min.js', import.meta.url))],
]);
const exported = new Map<string, ExportedCase>();
let server: Server;
let chromium: Awaited<ReturnType<typeof openChromium>>;
let page: Page;

beforeAll(async () => {
  for (const [name, spec, classes, exclusive] of [
    ['unet', { width: 16 }, 1, false],
    ['attentionUnet', {}, 3, true],
  ] as [ModelName, object, number, boolean][]) {
    const model = await exportedCase(modelSchema.parse({ name, ...spec }), { classes, exclusive });
    const { network, weights, description } = model;
    const written = await encodeLayersModel(recordNetwork({ network, ...description }), weights, description);
    for (const [file, contents] of Object.entries(written)) files.set(`/${name}/${file}`, contents);
    exported.set(name, model);
  }
  server = createServer(({ url }, response) => {
    const contents = files.get(url!);
    if (contents === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': url === '/' ? 'text/html' : 'application/octet-stream' }).end(contents);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  chromium = await openChromium({ emulatesGpu: true });
  page = await chromium.browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
afterAll(async () => {
  await chromium.close();
  await new Promise(resolve => server.close(resolve));
});

test.each([
  ['unet', 'cpu'],
  ['unet', 'webgl'],
  ['attentionUnet', 'webgl'],
])('%s runs in Chromium on the %s backend, and predicts what the program predicts', async (name, backend) => {
  const { pixels, expected, description } = exported.get(name)!;
  const { image, classes } = description;
  const result = await page.evaluate(
    async ({ name, backend, pixels, shape }) => {
      await tf.setBackend(backend);
      const model = await tf.loadLayersModel(`${name}/model.json`);
      const images = tf.tensor4d(pixels, shape).div(255);
      const probabilities = model.predict(images) as tfjs.Tensor;
      return { backend: tf.getBackend(), shape: probabilities.shape, data: [...(await probabilities.data())] };
    },
    { name, backend, pixels: [...pixels], shape: [1, image.height, image.width, image.channels] as [number, number, number, number] },
  );
  expect(result.backend).toBe(backend);
  expect(result.shape).toEqual([1, image.height, image.width, classes]);
  expect(largestDifference(result.data, expected)).toBeLessThan(1e-4);
});
