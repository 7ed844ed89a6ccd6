/**
 * What is published runs without the sources and without tfjs-node-gpu.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';

const root = new URL('../..', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'segfleet-package-'));
const installed = join(folder, 'node_modules', 'segfleet');
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(() => {
  execFileSync(process.execPath, [join(root, 'test', 'tools', 'build.ts')], { stdio: 'inherit' });
  const tarball = execFileSync('npm', ['pack', '--pack-destination', folder, '--silent'], { cwd: root, encoding: 'utf8' }).trim();
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, tarball), '-C', installed, '--strip-components=1']);
  // Its dependencies, and nothing that only this checkout has.
  const { dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) {
    const link = join(folder, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), link);
  }
});

/** Runs what is installed, as if not under npm. */
function run(...arguments_: string[]): string {
  const { npm_execpath: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(installed, 'bin', 'segfleet.mjs'), ...arguments_], {
    cwd: folder,
    encoding: 'utf8',
    env,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

test('the package holds the built program, the launcher, the chart and the examples, no sources and no tests', () => {
  expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'bin', 'charts', 'dist', 'examples', 'package.json']);
  expect(readdirSync(installed, { recursive: true }).filter(name => String(name).endsWith('.ts'))).toEqual([]);
  expect(existsSync(join(folder, 'node_modules', '@tensorflow', 'tfjs-node-gpu'))).toBe(false);
});

test('it trains, and calls itself by its own name in what it says', async () => {
  await drawDataSet(join(folder, 'data'), 5, 16, 16);
  const job = writeJob(folder, smallJob('data'));
  expect(run('--version')).toContain('segfleet/');
  const text = run('train', job, '--set', 'training.epochs=1', '--set', 'training.batch=2');
  expect(text).toMatch(/^ {2}segfleet evaluate runs\/small$/m);
  const digest = (out: string, ...workers: string[]) => {
    const said = run('train', job, '--set', 'training={epochs: 1, batch: 2, lanes: 2, threads: 2}', '--out', out, ...workers);
    return /weights digest ([0-9a-f]{64})/.exec(said)?.[1];
  };
  expect(digest('with workers', '--workers', '2')).toBe(digest('alone'));
});
