/**
 * Event files: our strict reader finds in them what TensorBoard itself has found (test/fixtures/tensorboard.json), and a run never ends because of them.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseJob } from '../../../trainer/spec.ts';
import type { TrainEvent } from '../../../trainer/tracking/events.ts';
import { TensorBoardLog } from '../../../trainer/tracking/tensorboard.ts';
import { crc32c, type EventProto, HParamsType } from '../../../trainer/tracking/tensorboardProto.ts';
import read from '../../fixtures/tensorboard.json' with { type: 'json' };
import { smallJob } from '../../tools/jobs.ts';
import { readEventFiles, scalarsIn } from '../../tools/tensorboard.ts';
import { processes, writeEventFiles } from '../../tools/tensorboardCase.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-tensorboard-'));
afterAll(() => rmSync(folder, { recursive: true }));
let board: string;
let events: EventProto[];
beforeAll(async () => {
  board = await writeEventFiles(join(folder, 'run'));
  events = readEventFiles(board);
});
const values = () => events.flatMap(({ step = 0, summary }) => (summary?.value ?? []).map(value => ({ step, ...value })));

test('the checksum is CRC-32C', () => {
  // RFC 3720, B.4
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
});

test('scalars: what TensorBoard reads, without the step that a killed process had done in vain', () => {
  expect(scalarsIn(events)).toEqual(read.scalars);
  expect(read.scalars['loss/batch']).toEqual([
    [1, 1],
    [2, 0.5],
    [3, 0.25],
    [4, 0.125],
  ]);
});

test('images: the bytes of the overlays, and their size', () => {
  const images = values().flatMap(({ tag, step, image }) => {
    if (!image) return [];
    return [[tag, [[step, image.width, image.height, createHash('sha256').update(image.encodedImageString).digest('hex')]]]];
  });
  expect(Object.fromEntries(images)).toEqual(read.images);
});

test('hyper-parameters: what the job says, by dotted path, and how it ended', () => {
  const data = values().flatMap(({ tag, metadata }) => {
    if (!metadata) return [];
    return [[tag, HParamsType.toObject(HParamsType.decode(metadata.pluginData.content)) as never]] as const;
  });
  const { sessionStartInfo, sessionEndInfo } = Object.assign({}, ...data.map(([, one]) => one as object)) as {
    sessionStartInfo: { hparams: Record<string, Record<string, unknown>>; groupName: string; startTimeSecs: number };
    sessionEndInfo: { status: number; endTimeSecs: number };
  };
  const ours = Object.fromEntries(Object.entries(sessionStartInfo.hparams).map(([name, value]) => [name, Object.values(value)[0]]));
  // Jobs may have got more fields since.
  expect(ours).toMatchObject(read.hparams);
  expect(ours).toMatchObject({ 'loss.name': 'adaptiveLog', 'loss.gamma': 0.1, 'training.batch': 3, seed: 3 });
  expect([sessionStartInfo.groupName, sessionEndInfo.status, sessionEndInfo.endTimeSecs]).toEqual([read.group, ...read.ended]);
});

test('each process has a file of its own, and never touches that of another', () => {
  const [first, second] = readdirSync(board).sort();
  expect(second > first).toBe(true);
  expect(readFileSync(join(board, first)).subarray(-5)).toEqual(Buffer.from([40, 0, 0, 0, 0]));
});

test('every bit that is flipped is noticed', () => {
  const [first] = readdirSync(board).sort();
  const file = join(board, first);
  const whole = readFileSync(file);
  try {
    for (let at = 0; at < 400; at += 7) {
      const damaged = Buffer.from(whole);
      damaged[at] ^= 1 << (at % 8);
      writeFileSync(file, damaged);
      expect(() => readEventFiles(board), String(at)).toThrow(/is damaged/);
    }
  } finally {
    writeFileSync(file, whole);
  }
});

test('where the files cannot be written that is said once, and the run goes on', () => {
  const problems: string[] = [];
  const { job } = parseJob(smallJob('data'), 'job.yaml');
  const log = new TensorBoardLog(job, { onProblem: problem => problems.push(problem) });
  const there = join(folder, 'a file');
  writeFileSync(there, '');
  for (const event of processes[0]) log.take({ ...event, folder: there } as unknown as TrainEvent);
  log.close({ failed: true });
  expect(problems).toEqual([expect.stringMatching(/^writing .*tensorboard: a file stands where a folder is needed$/)]);
});
