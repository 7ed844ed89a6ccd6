/**
 * Who may enter a run folder.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { RunFolder } from '../../../trainer/storage/runFolder.ts';

const root = mkdtempSync(join(tmpdir(), 'segfleet-run-folder-'));
afterAll(() => rmSync(root, { recursive: true }));

let numbers = 0;
function folderWith(...files: string[]): RunFolder {
  const folder = new RunFolder(join(root, String(numbers++)));
  mkdirSync(folder.path);
  for (const file of files) {
    mkdirSync(dirname(join(folder.path, file)), { recursive: true });
    writeFileSync(join(folder.path, file), '');
  }
  return folder;
}

describe('made for a new run', () => {
  test.each([
    ['empty', [], false, undefined],
    ['with what is hidden', ['.lock'], false, undefined],
    ['with a run', ['run.json'], true, /holds a run already/],
    [
      'with what a run leaves that ended before its record was written',
      ['job.yaml', 'metrics.ndjson', 'weights/best.safetensors'],
      true,
      undefined,
    ],
    ['the same, where nobody expects it', ['job.yaml'], false, /is not empty \(it holds job.yaml\)/],
    ['with something else', ['job.yaml', 'photos/1.png'], true, /is not empty \(it holds photos\)/],
  ])('%s', async (_, files, anew, refused) => {
    const created = folderWith(...files).create({ anew });
    if (refused) await expect(created).rejects.toMatchObject({ code: 'conflict', message: expect.stringMatching(refused) });
    else await created;
  });
});

describe('locked', () => {
  test('by one process at a time, until it lets go', async () => {
    const folder = folderWith();
    const release = await folder.lock();
    expect(readFileSync(join(folder.path, '.lock'), 'utf8')).toMatch(new RegExp(`^${process.pid} \\d+$`));
    await release();
    expect(readdirSync(folder.path)).toEqual([]);
  });

  const startOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[19];
  test.each([
    ['a process that is alive', `${process.ppid} ${startOf(process.ppid)}`, true],
    ['the same, by a version that noted no start', String(process.ppid), true],
    ['a process of another time, whose number another one has', `${process.ppid} 1`, false],
    ['the number that this process has', `${process.pid} 1`, false],
    ['a process that is gone', `${2 ** 22} 12345`, false],
    ['nobody: it was being written', '', false],
  ])('by %s', async (_, holder, isTaken) => {
    const folder = folderWith();
    writeFileSync(join(folder.path, '.lock'), holder);
    const locked = folder.lock();
    if (isTaken)
      await expect(locked).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining(`process ${process.ppid} is writing`),
      });
    else await (await locked)();
  });
});
