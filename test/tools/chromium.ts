/**
 * Chromium without a screen, from an npm package: nothing is downloaded and no system library is needed.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium } from 'playwright-core';

const unpack = `
const { default: chromium } = await import('@sparticuz/chromium');
chromium.setGraphicsMode = process.argv[1] === 'gpu';
const executablePath = await chromium.executablePath();
console.log(JSON.stringify({ executablePath, args: chromium.args, libraries: process.env.LD_LIBRARY_PATH }));`;

/**
 * The package unpacks itself into the temporary folder: into one of its own, that goes with the browser.
 *
 * @param emulatesGpu draws by a GPU that is emulated (SwiftShader), which WebGL needs: it compiles each way of drawing when that is first needed, for seconds.
 * Otherwise as a browser that finds no GPU, by software that is made for it.
 */
export async function openChromium({ emulatesGpu = false } = {}): Promise<{ browser: Browser; close: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'segfleet-chromium-'));
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', unpack, emulatesGpu ? 'gpu' : 'none'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    encoding: 'utf8',
    // The runtime's name tells the package to unpack its shared libraries too, and it sets the path to them.
    env: { ...process.env, TMPDIR: folder, AWS_LAMBDA_JS_RUNTIME: 'nodejs24.x' },
  });
  const { executablePath, args, libraries } = JSON.parse(output);
  const browser = await chromium.launch({ executablePath, args, env: { ...process.env, TMPDIR: folder, LD_LIBRARY_PATH: libraries } });
  return {
    browser,
    close: async () => {
      await browser.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
