/**
 * Training as it looks on a terminal: the command line under a pseudo-terminal, which Python opens.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
