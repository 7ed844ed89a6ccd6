/**
 * `npm run generate:kernels`: coordinator/exchange/kernels.wat -> kernels.wasm.ts beside it. A test holds one against the other.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import wabt from 'wabt';

const folder = new URL('../../coordinator/exchange/', import.meta.url);
const features = { simd: true, threads: true };

export async function compileKernels(): Promise<Buffer> {
  const assembler = await wabt();
  const source = new Uint8Array(readFileSync(new URL('kernels.wat', folder)));
  const module = assembler.parseWat('kernels.wat', source, features);
  // The types of the package leave out that it wants the features here too.
  (module.validate as (options: typeof features) => void)(features);
  return Buffer.from(module.toBinary({}).buffer);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lines = (await compileKernels()).toString('base64').match(/.{1,132}/g)!;
  const text = `/** Made from kernels.wat by \`npm run generate:kernels\`: not to be edited. */\nexport const wasm = \`\n${lines.join('\n')}\n\`;\n`;
  writeFileSync(new URL('kernels.wasm.ts', folder), text);
}
