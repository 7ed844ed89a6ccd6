/**
 * A sweep on a real cluster: the file of `sweep run`, submitted, comes to the same weights and the same best trial as here.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { SweepStatus } from '../../k8s/sweepStatus.ts';
import type { SweepRecord } from '../../trainer/sweep/sweepFolder.ts';
import { canStartCluster } from '../tools/cluster.ts';
import { Installation } from '../tools/installation.ts';
import { writeJob } from '../tools/jobs.ts';

const can = canStartCluster();
let at: Installation;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'segfleet-sweep-'));
  if (!can) return;
  at = await Installation.start({ nodes: 2 });
  await at.prepare();
  await at.helm('install');
}, 300_000);

afterAll(async () => {
  await at?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** @param search the fields of its search */
const sweepFile = (name: string, epochs: number, search: string) =>
  writeJob(
    folder,
    `apiVersion: segfleet.dev/v1alpha1
kind: Sweep
metadata: {name: ${name}}
spec:
  objective: {metric: validation/dice}
  base:
    spec:
      seed: 5
      data: {path: s3://data/nuclei, size: {height: 48, width: 48}, channels: 1, split: {validation: 0.2}}
      model: {name: unet, width: 16}
      training: {epochs: ${epochs}, batch: 8, threads: 1}
${search}`,
    `${name}.yaml`,
  );

const ended = async (name: string) => {
  await at.kubectl('wait', `sweep/${name}`, '--for=condition=Complete', '--timeout=300s');
  return ((await at.get('sweep', name)) as unknown as { status: SweepStatus }).status;
};

const weightsOf = (run: string): string => JSON.parse(readFileSync(join(run, 'run.json'), 'utf8')).weights.digest;

/** Series of a sweep that the operator tells Prometheus. */
async function toldOf(sweep: string, more = ''): Promise<string[]> {
  const { items } = JSON.parse(await at.cluster.kubectl(['get', 'pods', '--namespace', 'segfleet', '--output=json']));
  const text = await (await fetch(`http://127.0.0.1:${await at.cluster.relay(8081, items[0].status.podIP)}/metrics`)).text();
  return text.split('\n').filter(line => line.includes(`sweep="${at.namespace}/${sweep}"`) && line.includes(more));
}

describe.skipIf(!can)('a sweep on a cluster', () => {
  test('comes to its end, with the weights and the best trial that it has here', async () => {
    const search = '  method: grid\n  parameters:\n    loss.name: {values: [dice, focal]}\n  limits: {parallelTrials: 2}\n';
    const file = sweepFile('losses', 2, search);
    expect(await at.succeed('submit', file, '--namespace', at.namespace)).toContain('submitted the sweep losses');
    const status = await ended('losses');
    expect(status).toMatchObject({ phase: 'Succeeded', progress: '2/2', trials: { total: 2, succeeded: 2, failed: 0, running: 0 } });

    const [line] = await toldOf('losses', 'state="succeeded"');
    expect(line).toMatch(/^segfleet_operator_sweep_cells\{.*\} 2$/);

    const out = join(folder, 'here');
    await at.succeed('sweep', 'run', file, '--out', out);
    const record: SweepRecord = JSON.parse(readFileSync(join(out, 'sweep.json'), 'utf8'));
    for (const { number, runs } of record.trials) {
      const job = await at.get('trainingjob', `losses-000${number}`);
      expect(job.status.weightsDigest).toBe(weightsOf(join(out, runs[0].folder)));
    }
    const best = record.trials[record.best!];
    expect(status.best).toEqual({
      job: `losses-000${best.number}`,
      value: best.value!.toFixed(4),
      parameters: best.parameters,
    });
    const [, row] = (await at.kubectl('get', 'sweeps')).split('\n');
    expect(row.split(/\s{2,}/).slice(0, 7)).toEqual(['losses', 'Succeeded', 'grid', '2/2', '0', '0', best.value!.toFixed(4)]);

    await at.kubectl('delete', 'sweep', 'losses', '--cascade=foreground', '--timeout=60s');
    expect(await at.kubectl('get', 'trainingjobs', '--output=name')).toBe('');
    await vi.waitFor(async () => expect(await toldOf('losses')).toEqual([]), { timeout: 30_000, interval: 500 });
  }, 400_000);

  test('lets trials rest at the first epoch, and the best of them goes on to the weights that it has here', async () => {
    const file = sweepFile(
      'halving',
      24,
      `  method: asha
  parameters:
    training.optimizer.learningRate: {distribution: logUniform, min: 1.0e-4, max: 1.0e-2}
  earlyStop: {type: asha, minTime: 1, reductionFactor: 16}
  limits: {parallelTrials: 1, maxTrials: 2}
`,
    );
    await at.succeed('submit', file, '--namespace', at.namespace);
    const { trials, best, phase } = await ended('halving');
    expect({ trials, phase }).toMatchObject({ phase: 'Succeeded', trials: { total: 2, succeeded: 1, stopped: 1, running: 0 } });
    const [winner, loser] = best!.job === 'halving-0000' ? ['halving-0000', 'halving-0001'] : ['halving-0001', 'halving-0000'];
    const { status } = await at.get('trainingjob', loser);
    expect(status.phase).toBe('Suspended');
    expect(status.objective!.reports.length).toBeLessThan(24);
    expect(await at.describe(winner)).toMatch(/Suspended.*Resumed/s);

    const out = join(folder, 'halving');
    await at.succeed('sweep', 'run', file, '--out', out);
    const record: SweepRecord = JSON.parse(readFileSync(join(out, 'sweep.json'), 'utf8'));
    const here = record.trials[record.best!];
    expect(best).toEqual({ job: `halving-000${here.number}`, value: here.value!.toFixed(4), parameters: here.parameters });
    expect((await at.get('trainingjob', winner)).status.weightsDigest).toBe(weightsOf(join(out, here.runs[0].folder)));
    await at.kubectl('delete', 'sweep', 'halving', '--cascade=foreground', '--timeout=60s');
  }, 600_000);
});
