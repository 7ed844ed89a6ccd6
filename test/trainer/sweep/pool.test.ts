/**
 * The processes that run trials: kept, replaced, and gone at the end.
 */
import { existsSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { parseJob } from '../../../trainer/spec.ts';
import { type Ending, Pool } from '../../../trainer/sweep/pool.ts';
import type { Order } from '../../../trainer/sweep/trialProgram.ts';
import { smallJob } from '../../tools/jobs.ts';

const program = new URL('./pidTrial.ts', import.meta.url);
const order = (threads: number): Order => ({
  job: parseJob(smallJob('data'), 'job.yaml', [`training.threads=${threads}`]),
  base: '.',
  out: 'nowhere',
  objective: { metric: 'validation/jaccard', goal: 'maximize' },
});

let pool: Pool;
afterEach(() => pool.close());

async function run(threads: number, word: 'go' | 'stop' = 'go'): Promise<Ending> {
  const ongoing = pool.run(order(threads), { reached: () => (word === 'go' ? ongoing.go() : ongoing.stop('preempted')), problem() {} });
  return ongoing.ended;
}
const pidOf = (ending: Ending) => Number('error' in ending && ending.error.message);

test('a process is kept for the next run, and another one is taken for another number of threads', async () => {
  pool = new Pool({ program });
  const first = pidOf(await run(1));
  expect(pidOf(await run(1))).toBe(first);
  const other = pidOf(await run(2));
  expect(other).not.toBe(first);
  expect(pidOf(await run(2))).toBe(other);
  await pool.close();
  for (const pid of [first, other]) expect(existsSync(`/proc/${pid}`)).toBe(false);
});

test('after its runs a process is replaced', async () => {
  pool = new Pool({ program, maxRuns: 2 });
  const pids = [];
  for (let i = 0; i < 4; i++) pids.push(pidOf(await run(1)));
  expect(pids[0]).toBe(pids[1]);
  expect(pids[2]).not.toBe(pids[1]);
  expect(pids[2]).toBe(pids[3]);
});

test('a run that is told to stop ends, and its process runs the next', async () => {
  pool = new Pool({ program });
  expect(await run(1, 'stop')).toEqual({ status: 'interrupted' });
  expect(pidOf(await run(1))).toBeGreaterThan(0);
});

test('a process that is killed ends its run, and another one takes the next', async () => {
  pool = new Pool({ program });
  const pid = pidOf(await run(1));
  const ongoing = pool.run(order(1), { reached: () => process.kill(pid, 'SIGKILL'), problem() {} });
  expect(await ongoing.ended).toEqual({ status: 'crashed', message: 'its process ended (SIGKILL)' });
  expect(pidOf(await run(1))).not.toBe(pid);
});
