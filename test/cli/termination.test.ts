/**
 * The last word of a process: a file that says what `--json` would.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type LastWord, shortened } from '../../cli/termination.ts';
import { segfleet } from '../tools/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-termination-'));
afterAll(() => rmSync(folder, { recursive: true }));
const log = join(folder, 'termination-log');
const env = { SEGFLEET_TERMINATION_LOG: log };

test.each([
  ['a job that is not there', ['train', join(folder, 'none.yaml')], 4],
  ['a flag that nobody knows', ['doctor', '--frobnicate'], 2],
  ['a command that nobody knows', ['frobnicate'], 2],
  ['flags that exclude each other', ['coordinator', 'job.yaml', '--continue', '--resume'], 2],
])('%s: the error that --json prints', async (_, words, exitCode) => {
  writeFileSync(log, 'what another process left, and longer than this');
  const { code, stdout } = await segfleet([...words, '--json'], { env });
  expect(code).toBe(exitCode);
  const left = JSON.parse(readFileSync(log, 'utf8'));
  expect(left).toEqual(JSON.parse(stdout));
  expect(left.error).toMatchObject({ exitCode, code: expect.any(String), message: expect.any(String) });
});

test('that it cannot be written changes nothing', async () => {
  const { code, stderr } = await segfleet(['train', join(folder, 'none.yaml')], { env: { SEGFLEET_TERMINATION_LOG: '/nowhere/log' } });
  expect(code).toBe(4);
  expect(stderr.split('\n')).toHaveLength(2);
});

describe('at most 4096 bytes', () => {
  const error = (message: string, details?: Record<string, unknown>): LastWord => ({
    error: { code: 'bug', exitCode: 1, message, ...(details && { details }) },
  });

  test.each([
    ['as it is', error('short', { step: 3 }), error('short', { step: 3 })],
    ['without details that are long', error('short', { images: new Array(1000).fill('x.png') }), error('short')],
    ['of exactly so many', error('x'.repeat(4096 - 50)), error('x'.repeat(4096 - 50))],
    ['one byte more', error('x'.repeat(4096 - 49)), error(`${'x'.repeat(4096 - 53)}...`)],
    // Three bytes each, and no half of one.
    ['in another script', error('\u4e2d'.repeat(3000)), error(`${'\u4e2d'.repeat(1347)}...`)],
    // Two code units each, and no half of one.
    ['with pictures', error('\u{1f52c}'.repeat(3000)), error(`${'\u{1f52c}'.repeat(1010)}...`)],
    ['of quotes, which are escaped', error('"'.repeat(5000)), error(`${'"'.repeat(2021)}...`)],
  ])('%s', (_, word, expected) => {
    const text = shortened(word);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4096);
    expect(JSON.parse(text)).toEqual(expected);
  });
});
