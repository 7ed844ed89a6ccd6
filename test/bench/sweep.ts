/**
 * `npm run bench:sweep`: what a sweep costs on top of its trials. A thousand trials whose objective costs nothing go through the real pool of processes,
 * journal and run folders, chosen one after another by each method.
 */
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine } from '../../trainer/machine.ts';
import { runSweep } from '../../trainer/sweep/driver.ts';
import { parseSweep } from '../../trainer/sweep/sweepFile.ts';
import { median, writeResults } from './results.ts';

const { values: flags } = parseArgs({ options: { trials: { type: 'string', default: '1000' } } });
const trials = Number(flags.trials);
const folder = mkdtempSync(join(tmpdir(), 'segfleet-bench-sweep-'));
const data = new URL('../../examples/nuclei', import.meta.url).pathname;
const program = new URL('./sweepTrial.ts', import.meta.url);

const sweepOf = (method: string, parallel: number) => `apiVersion: segfleet.dev/v1alpha1
kind: Sweep
metadata: {name: ${method}}
spec:
  objective: {metric: validation/jaccard}
  method: ${method}
  base: {spec: {data: {path: ${data}, size: {height: 64, width: 64}, channels: 1}, training: {epochs: 1, batch: 4, threads: 1}}}
  parameters: {training.optimizer.learningRate: {distribution: logUniform, min: 1.0e-6, max: 1.0}}
  limits: {maxTrials: ${trials}, parallelTrials: ${parallel}}
`;

const rows: string[] = [];

/** What it takes to have a line on this disk. */
function syncMs(): number {
  const file = openSync(join(folder, 'line'), 'w');
  const times = Array.from({ length: 100 }, () => {
    const began = performance.now();
    writeSync(file, 'x'.repeat(200));
    fsyncSync(file);
    return performance.now() - began;
  });
  closeSync(file);
  return median(times);
}
const syncs = [syncMs()];

try {
  for (const [method, parallel] of [
    ['random', 1],
    ['random', 2],
    ['sobol', 1],
  ] as const) {
    const out = join(folder, `${method}-${parallel}`, 'sweep');
    let first = 0;
    const before = process.cpuUsage();
    const events = runSweep({ sweep: parseSweep(sweepOf(method, parallel), `${method}.yaml`), out, program, cores: 2 });
    for (;;) {
      const next = await events.next();
      if (next.done) {
        if (next.value.counts.succeeded !== trials) throw new Error(`${next.value.counts.succeeded} of ${trials} trials succeeded`);
        break;
      }
      // Until the first has ended a process is started, which later ones find warm.
      if (next.value.event === 'run' && next.value.status === 'succeeded' && first === 0) first = performance.now();
    }
    const ms = (performance.now() - first) / (trials - 1);
    const { user, system } = process.cpuUsage(before);
    const again = performance.now();
    for await (const _ of runSweep({ sweep: parseSweep(sweepOf(method, parallel), `${method}.yaml`), out, program, cores: 2 }));
    const restart = performance.now() - again;
    const journal = readFileSync(join(out, 'journal.ndjson')).length;
    rows.push(
      `| ${method} | ${parallel} | ${ms.toFixed(1)} | ${((user + system) / 1000 / trials).toFixed(1)} | ${(restart / 1000).toFixed(1)} | ${Math.round(journal / trials)} |`,
    );
    syncs.push(syncMs());
    process.stdout.write(`${rows.at(-1)}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const { cpu, processors } = describeMachine();
writeResults(
  'sweep',
  `${cpu}, ${processors} processors`,
  'npm run bench:sweep',
  [
    `${trials} trials whose objective costs nothing, through the pool of processes, journal and run folders; from the end of the first on (the pool is warm):`,
    '',
    '| method | trials at a time | ms a trial | processor time of the driver, checks before it starts among it, ms a trial | run again, all done, s | bytes of journal a trial |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
    `- A trial is one line that must be on the disk before it begins, and three messages between two processes. A line on this disk took ${median(syncs).toFixed(1)} ms then (median of ${syncs.length} medians), at a load of ${loadavg()[0].toFixed(0)}.`,
  ].join('\n'),
);
