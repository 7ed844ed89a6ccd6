/**
 * A program of trial processes that computes its objective from the job at once, and leaves what a training leaves: events, record, a place to go on from.
 * Some values of training.clipNorm make it misbehave.
 */
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { RunFolder } from '../../trainer/storage/runFolder.ts';
import { Objective } from '../../trainer/sweep/objective.ts';
import { readReports, readRunRecord, reportOf } from '../../trainer/sweep/runFiles.ts';
import type { TrialProgram } from '../../trainer/sweep/trialProgram.ts';
import type { EpochEvent } from '../../trainer/tracking/events.ts';

/** Values of training.clipNorm. */
export const misbehaviour = { diverges: 13, crashes: 17, crashesOnce: 19, isUnavailableOnce: 23, diskIsFull: 29 } as const;

export const objectiveAt = (learningRate: number, seed: number, epoch: number): number =>
  (1 - (Math.log10(learningRate) + 3) ** 2 / 10) * (1 - 0.5 ** epoch) + seed / 1000;

const program: TrialProgram = async (order, host) => {
  const folder = new RunFolder(order.out);
  const objective = new Objective(order.objective);
  const { seed, training } = order.job.job.spec;
  const record = (more: object) => writeFileSync(folder.record, JSON.stringify({ schema: 'segfleet/run/1', job: order.job.job, ...more }));
  const isFirst = !existsSync(`${folder.path}/.begun`);
  mkdirSync(folder.path, { recursive: true });
  writeFileSync(`${folder.path}/.begun`, '');
  if (readRunRecord(folder)?.status === 'succeeded') {
    await host.reached(readReports(folder, objective));
    return { status: 'succeeded' };
  }
  record({ status: 'running' });
  const failed = (code: string, message: string) => ({ status: 'failed', error: { code, message } }) as const;
  switch (training.clipNorm) {
    case misbehaviour.diverges:
      return failed('diverged', 'the loss is NaN at step 1');
    case misbehaviour.crashes:
      process.stderr.write('Error: what a bug says\n');
      process.exit(3);
      break;
    case misbehaviour.crashesOnce:
      if (isFirst) process.kill(process.pid, 'SIGKILL');
      break;
    case misbehaviour.isUnavailableOnce:
      if (isFirst) return failed('unavailable', 'the store does not answer');
      break;
    case misbehaviour.diskIsFull:
      if (isFirst) return { ...failed('resources', 'writing: no space left on the disk; free some space'), diskIsFull: true };
  }
  const before = readReports(folder, objective);
  if (before.length > 0) await host.reached(before);
  const last = Math.min(training.epochs, order.untilEpoch ?? Number.POSITIVE_INFINITY);
  for (let epoch = before.length + 1; epoch <= last; epoch++) {
    if (host.signal.aborted) {
      record({ status: 'stopped' });
      return { status: 'interrupted' };
    }
    const value = objectiveAt(training.optimizer.learningRate, seed, epoch);
    const validation = { pooled: { jaccard: value }, perImage: { jaccard: value }, auc: { auc: value }, loss: 1 - value };
    const event = { event: 'epoch', epoch, step: 3 * epoch, loss: 1 - value, validation } as unknown as EpochEvent;
    appendFileSync(folder.events, `${JSON.stringify(event)}\n${JSON.stringify({ event: 'checkpoint', epoch, step: 3 * epoch })}\n`);
    await host.reached([reportOf(event, objective)]);
  }
  const status = last < training.epochs ? 'paused' : 'succeeded';
  record({ status });
  return { status };
};

export default program;
