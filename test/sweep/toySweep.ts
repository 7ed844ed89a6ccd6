/**
 * Sweeps of toy trials, in this process or in one of their own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { stringify } from 'yaml';
import { runSweep, type SweepEvent, type SweepOptions } from '../../trainer/sweep/driver.ts';
import { parseSweep } from '../../trainer/sweep/sweepFile.ts';
import type { SweepRecord } from '../../trainer/sweep/sweepFolder.ts';

export const toyProgram = new URL('./toyTrial.ts', import.meta.url);

/** @param data folder of the data set @param spec instead of what stands here */
export const toySweep = (data: string, spec: object = {}, training: object = {}) =>
  stringify({
    apiVersion: 'segfleet.dev/v1alpha1',
    kind: 'Sweep',
    metadata: { name: 'toy' },
    spec: {
      objective: { metric: 'validation/jaccard' },
      method: 'grid',
      base: {
        spec: {
          data: { path: data, size: { height: 16, width: 16 } },
          model: { name: 'unet', width: 16 },
          training: { epochs: 3, batch: 4, ...training },
        },
      },
      parameters: { 'training.optimizer.learningRate': { values: [0.0001, 0.001, 0.01] } },
      ...spec,
    },
  });

export interface Ran {
  readonly events: SweepEvent[];
  readonly record?: SweepRecord;
  readonly error?: Error & { code?: string };
}

/** @param onEvent called with each event as it comes */
export async function drive(
  text: string,
  out: string,
  options: Partial<SweepOptions> = {},
  onEvent?: (event: SweepEvent) => void | Promise<void>,
): Promise<Ran> {
  const events: SweepEvent[] = [];
  const told = runSweep({ sweep: parseSweep(text, `${out}.yaml`), out, cores: 2, program: toyProgram, ...options });
  try {
    for (;;) {
      const next = await told.next();
      if (next.done) return { events, record: next.value };
      events.push(next.value);
      await onEvent?.(next.value);
    }
  } catch (error) {
    return { events, error: error as Error };
  }
}

/** In a process that may be killed. @param onLine called with the process and the number of each line that it writes, from 1 */
export async function driveAndKill(
  text: string,
  out: string,
  onLine: (child: ChildProcess, line: number) => void,
): Promise<{ killed: boolean; stderr: string }> {
  const child = spawn(process.execPath, [new URL('./driverProcess.ts', import.meta.url).pathname, text, out], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let seen = 0;
  let stderr = '';
  child.stderr.on('data', chunk => {
    stderr += chunk;
  });
  createInterface({ input: child.stdout }).on('line', () => onLine(child, ++seen));
  const signal = await new Promise(resolve => child.on('close', (_, how) => resolve(how)));
  return { killed: signal === 'SIGKILL', stderr };
}
