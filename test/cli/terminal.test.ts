/**
 * Training as it looks on a terminal: the command line under a pseudo-terminal, which Python opens.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TrainingView } from '../../cli/render/training.ts';
import { segfleet } from '../tools/cli.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-terminal-'));
beforeAll(() => drawDataSet(join(folder, 'data'), 10, 16, 16));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs its arguments on a terminal of 40 rows and 120 columns, and copies what they write. */
const terminal = `
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try: block = os.read(terminal, 65536)
    except OSError: break
    if not block: break
    os.write(1, block)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

test('shows a live block with progress, speed, time left and both curves, which the lines of the epochs replace', async () => {
  const job = writeJob(folder, smallJob('data'));
  const { code, stdout } = await segfleet(['train', job, '--out', join(folder, 'run')], { under: ['python3', '-c', terminal] });
  expect(code).toBe(0);
  expect(stdout).toContain('\u001b[2K\u001b[1A'); // what was drawn is taken back
  const lines = stripVTControlCharacters(stdout).split(/\r?\n|\r/);
  const matching = (pattern: RegExp) => lines.filter(line => pattern.test(line));
  expect(matching(/█+░+ epoch 2\/3, step 1\/3 {3}[\d.]+ images\/s {3}\d+ s left/)).not.toEqual([]);
  expect(matching(/^loss \d\.\d{4} [▁▂▃▄▅▆▇█]{4,} +log branch \d+ %/)).not.toEqual([]);
  expect(matching(/^validation Jaccard \d\.\d{4} [▁▂▃▄▅▆▇█]{2}$/)).not.toEqual([]);
  for (const epoch of [1, 2, 3]) expect(matching(new RegExp(`epoch ${epoch}/3  loss`))).toHaveLength(1);
  expect(lines.at(-2)).toMatch(/predict .*run IMAGE/);
});

test('shows every worker: rank, name, state, speed and how far it is behind', async () => {
  const job = writeJob(folder, smallJob('data').replace('batch: 3', 'batch: 4\n    lanes: 2'), 'shared.yaml');
  const run = join(folder, 'shared');
  const { code, stdout } = await segfleet(['train', job, '--out', run, '--workers', '2'], { under: ['python3', '-c', terminal] });
  expect(code).toBe(0);
  const lines = stripVTControlCharacters(stdout).split(/\r?\n|\r/);
  expect(lines.some(line => line === '2 workers')).toBe(true);
  for (const [rank, id] of ['w1', 'w2'].entries()) {
    const pattern = new RegExp(`^  [01]  ${id}  (computing|waiting|opening)  [\\d.]+ images/s  lag \\d+\\.\\d s`);
    expect([rank, lines.some(line => pattern.test(line))]).toEqual([rank, true]);
  }
  expect(lines.find(line => line.startsWith('one more worker: '))).toMatch(/worker .*shared\/job.yaml --join ipc:\/\/\S+ --out \S*shared$/);
});

test('names the worker that keeps the others waiting', () => {
  let written = '';
  const write = (text: string) => {
    written += text;
    return true;
  };
  const stdout = { isTTY: true, columns: 120, rows: 40, write } as unknown as NodeJS.WriteStream;
  const view = new TrainingView({ json: false, program: 'segfleet', stdout });
  const worker = (rank: number, seconds: number, lateMs: number) =>
    ({ id: `w${rank}`, rank, lanes: 2, state: 'waiting', silentMs: 40, seconds, lateMs }) as const;
  view.show({ event: 'start', parameters: 1, trainingImages: 24, epochs: 1, batch: 12, devices: [], workers: 3 } as never);
  view.show({
    event: 'workers',
    phase: 'computing',
    generation: 4,
    workers: [worker(0, 0.5, 0), worker(1, 2, 1510), worker(2, 0.6, 620), { id: 'spare', state: 'spare', silentMs: 3000 }],
    dropped: {},
    refused: { auth: 0, protocol: 0, other: 0 },
  });
  const lines = stripVTControlCharacters(written).split('\n').slice(-6);
  expect(lines.filter(line => line !== '')).toEqual([
    '4 workers',
    '  0  w0  waiting  8.0 images/s  lag 0.0 s',
    '  1  w1  waiting  2.0 images/s  lag 1.5 s  slow',
    // As fast as others, and its numbers come late all the same.
    '  2  w2  waiting  6.7 images/s  lag 0.6 s  slow',
    '  -  spare  spare  silent for 3 s',
  ]);
});
