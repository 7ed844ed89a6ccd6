import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createRunKeys, readRunKeys } from '../../../coordinator/exchange/keys.ts';

const folder = mkdtempSync(join(tmpdir(), 'keys-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('keys come back as they were made, from a file that only its owner can read', async () => {
  const file = join(folder, 'run.keys');
  const keys = await createRunKeys(file, 'a run');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(await readRunKeys(file, 'a run')).toEqual(keys);
  const all = [keys.coordinator, keys.worker].flatMap(({ publicKey, secretKey }) => [publicKey, secretKey]);
  expect(new Set(all).size).toBe(4);
});

test('keys are never replaced', async () => {
  const file = join(folder, 'twice.keys');
  await createRunKeys(file, 'a run');
  const before = readFileSync(file, 'utf8');
  await expect(createRunKeys(file, 'a run')).rejects.toMatchObject({ code: 'conflict' });
  expect(readFileSync(file, 'utf8')).toBe(before);
});

test('a mounted Secret, which the group may read, is taken', async () => {
  const file = join(folder, 'mounted.keys');
  const keys = await createRunKeys(file, 'a run');
  chmodSync(file, 0o440);
  expect(await readRunKeys(file, 'a run')).toEqual(keys);
});

test.each([0o604, 0o602, 0o620, 0o666])('mode %o is refused: others could have read or changed it', async mode => {
  const file = join(folder, `mode-${mode}.keys`);
  await createRunKeys(file, 'a run');
  chmodSync(file, mode);
  await expect(readRunKeys(file, 'a run')).rejects.toMatchObject({ code: 'notAllowed' });
});

test('what is no key file is refused without a word of what it holds', async () => {
  const file = join(folder, 'broken.keys');
  const { worker } = await createRunKeys(file, 'a run');
  const text = readFileSync(file, 'utf8');
  for (const broken of ['', text.slice(0, 300), text.replace(worker.publicKey, 'x'), text.replace('"version": 1', '"version": 2'), '[]']) {
    writeFileSync(file, broken);
    const error: Error = await readRunKeys(file, 'a run').catch(thrown => thrown);
    expect(error).toMatchObject({
      code: 'invalidData',
      message: `${file} is not a key file of segfleet; let whoever starts the run write a new one`,
    });
    expect(error.cause).toBeUndefined();
  }
});

test('keys of another run and a file that is not there are named', async () => {
  const file = join(folder, 'other.keys');
  await createRunKeys(file, 'another run');
  await expect(readRunKeys(file, 'a run')).rejects.toMatchObject({
    code: 'invalidData',
    message: `${file} has the keys of run another run, not of a run; name the right file`,
  });
  await expect(readRunKeys(join(folder, 'none'), 'a run')).rejects.toMatchObject({ code: 'notFound' });
});
