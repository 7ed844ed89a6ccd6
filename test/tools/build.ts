/**
 * `npm run build`: what is published. JavaScript in dist/, and in it the few kernel files of tfjs-node-gpu that we use, so that who
 * installs segfleet does not get that package, whose install script downloads a library from a host that is gone.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..', '..');

/** Builds the program into a folder, in place of what is there. */
export async function buildProgram(into: string): Promise<void> {
  rmSync(into, { recursive: true, force: true });
  const compile = (...options: string[]) =>
    execFileSync(join(root, 'node_modules', '.bin', 'tsc'), [...options, '--outDir', into], { cwd: root, stdio: 'inherit' });
  compile('-p', 'tsconfig.build.json');
  // What runs in browsers knows other globals.
  compile('-p', 'trainer/ui/client', '--noEmit', 'false', '--allowImportingTsExtensions', 'false', '--rootDir', '.');
  await build({
    absWorkingDir: root,
    entryPoints: [join(root, 'trainer', 'engine', 'kernels.ts')],
    outfile: join(into, 'trainer', 'engine', 'kernels.js'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['@tensorflow/tfjs'],
    alias: { '@tensorflow/tfjs-core': '@tensorflow/tfjs' }, // one kernel asks for a part of it by name: a second copy then
    legalComments: 'eof', // their licence stays with their code
    // CommonJS inside an ES module needs a `require` for what stays outside.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    logLevel: 'warning',
  });
}

if (import.meta.main) await buildProgram(join(root, 'dist'));
